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
