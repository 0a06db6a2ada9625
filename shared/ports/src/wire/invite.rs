//! Invites into rooms that are not here, from users of other servers (Server-Server API, "Inviting to a room").

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Bounded, BoundedJson, BoundedVec, EventRef, Millis, Name, RawJson};

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
    /// It is no invite, but what the user has knocked with there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub knock: bool,
}

/// Most servers that are named.
pub const MOST_INVITERS: usize = 5;

/// Asks which servers have to do with an invite or a knock, that of the inviter first. 404 `M_NOT_FOUND` when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListInviters {
    /// The room.
    pub room_id: OwnedRoomId,
}

/// The answer to [`ListInviters`].
pub type Inviters = BoundedVec<OwnedServerName, MOST_INVITERS>;

/// Makes the invite of a user of another server, and leaves it to the asker to have that server sign it: nothing is
/// committed. Nothing when the user is invited like that already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareInvite {
    /// Who invites.
    pub caller: OwnedUserId,
    /// Whom.
    pub target: OwnedUserId,
    /// `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Bounded<MOST_EVENT_BYTES>>,
    /// Further content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<BoundedJson<MOST_EVENT_BYTES>>,
}

/// The answer to [`PrepareInvite`], events in federation form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedInvite {
    /// The room's version.
    pub version: Name,
    /// The invite's id.
    pub event_id: EventRef,
    /// The invite, signed by this server.
    pub event: RawJson,
    /// What is shown of the room (MSC4311: whole events).
    pub shown: Vec<RawJson>,
}

/// Most events that a withdrawal cites.
pub const MOST_CITED: usize = 10;

/// An event by which a server takes an invite of one of its users back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Who takes it back; the request was signed by their server.
    pub sender: OwnedUserId,
    /// Its `auth_events`, the invite among them.
    pub auth_events: BoundedVec<EventRef, MOST_CITED>,
}

/// Takes an invite or a knock away, as its user wants, or an invite as the server of whoever has invited does; 404
/// `M_NOT_FOUND` when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectInvite {
    /// The room.
    pub room_id: OwnedRoomId,
    /// It is the other server that takes it away: only the invite that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<Withdrawal>,
}
