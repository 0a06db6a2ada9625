//! Invites into rooms that are not here, from users of other servers (Server-Server API, "Inviting to a room").

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName};
use serde::{Deserialize, Serialize};
use tern_model::{BoundedJson, BoundedVec, EventRef, Millis};

use super::handshake::MOST_EVENT_BYTES;

/// Most events that are shown of a room to somebody who is invited, and most bytes of each.
pub const MOST_SHOWN: usize = 20;
/// See [`MOST_SHOWN`].
pub const MOST_SHOWN_BYTES: usize = 16_384;

/// Stripped state of a room.
pub type ShownState = BoundedVec<BoundedJson<MOST_SHOWN_BYTES>, MOST_SHOWN>;

/// Asks a room whether an invite from a server is its own business: 403 `M_FORBIDDEN` when it keeps the server out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInvite {
    /// The server, in small letters.
    pub origin: OwnedServerName,
}

/// The answer to [`CheckInvite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitePlace {
    /// Somebody of this server is in the room, so that it hears of the invite as of every event.
    pub here: bool,
}

/// Tells a user of an invite that the room does not tell of. The same one again is no news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverInvite {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The invite's id.
    pub event_id: EventRef,
    /// When its server says that it was made.
    pub ts: Millis,
    /// The invite in federation form, signed by both servers.
    pub event: BoundedJson<MOST_EVENT_BYTES>,
    /// What is shown of the room, the invite included.
    pub stripped: ShownState,
}

/// Takes an invite away that came by [`DeliverInvite`], as its user wants; 404 `M_NOT_FOUND` when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectInvite {
    /// The room.
    pub room_id: OwnedRoomId,
}

/// An invite that was taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedInvite {
    /// Its id.
    pub event_id: OwnedEventId,
}
