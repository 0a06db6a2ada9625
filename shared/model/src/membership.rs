//! What is done to members of rooms.

use serde::{Deserialize, Serialize};

/// What is done to a member (Client-Server API, "Room membership").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipAction {
    /// `POST join`: the caller joins; joining twice is no change.
    Join,
    /// `POST knock`: the caller asks to be let in.
    Knock,
    /// `POST leave`: the caller leaves, rejects an invite or retracts a knock.
    Leave,
    /// `POST invite`: the target is asked in.
    Invite,
    /// `POST kick`: the target is put out, uninvited, or its knock refused.
    Kick,
    /// `POST ban`: the target is put out for good.
    Ban,
    /// `POST unban`: the target's ban ends.
    Unban,
}

/// What a user does through a server that is in the room, since the own one is not (Server-Server API, "Joining Rooms",
/// "Leaving Rooms (Rejecting Invites)", "Knocking upon a room").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handshake {
    /// `make_join` and `send_join`.
    Join,
    /// `make_leave` and `send_leave`: rejects an invite, retracts a knock, or leaves.
    Leave,
    /// `make_knock` and `send_knock`.
    Knock,
}

impl Handshake {
    /// The `membership` of its event.
    pub const fn membership(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Knock => "knock",
        }
    }

    /// What the user does by it.
    pub const fn action(self) -> MembershipAction {
        match self {
            Self::Join => MembershipAction::Join,
            Self::Leave => MembershipAction::Leave,
            Self::Knock => MembershipAction::Knock,
        }
    }
}
