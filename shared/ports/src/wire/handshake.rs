//! How users of other servers join, leave and knock through this one (Server-Server API, "Joining Rooms", "Leaving Rooms
//! (Rejecting Invites)", "Knocking upon a room").

use ruma::{OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{BoundedJson, BoundedVec, EventRef, Handshake, Name, RawJson};

use super::receive::ServerKey;

/// Most bytes of an event that is handed over: what one may have, and a tenth for `unsigned`.
pub const MOST_EVENT_BYTES: usize = 65_536 + 6_553;

/// Most keys that come along with one event.
pub const MOST_KEYS: usize = 100;

/// Most room versions that a server names.
pub const MOST_VERSIONS: usize = 100;

/// Makes the member event that the user's server completes. 404 `M_NOT_FOUND` for a room in which nobody of this server is;
/// 403 `M_FORBIDDEN` when the room keeps the server out, or the user may not; 400 `M_INCOMPATIBLE_ROOM_VERSION`,
/// `M_UNABLE_TO_AUTHORISE_JOIN`, `M_UNABLE_TO_GRANT_JOIN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeMember {
    /// The server that asks, in small letters.
    pub origin: OwnedServerName,
    /// What for.
    pub handshake: Handshake,
    /// Its user.
    pub user_id: OwnedUserId,
    /// The room versions that it knows; not asked of somebody who leaves.
    #[serde(default, skip_serializing_if = "BoundedVec::is_empty")]
    pub versions: BoundedVec<Name, MOST_VERSIONS>,
}

/// The answer to [`MakeMember`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberTemplate {
    /// The room's version.
    pub room_version: String,
    /// The event, without hashes, signatures and id.
    pub event: RawJson,
}

/// Takes the completed event in. The same one again gets the same answer. 400 `M_INVALID_PARAM` or `M_BAD_JSON` for another
/// event than that; 403 `M_FORBIDDEN` when the room does not take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMember {
    /// The server that sends it, in small letters.
    pub origin: OwnedServerName,
    /// What for.
    pub handshake: Handshake,
    /// Its id, as the request names it.
    pub event_id: EventRef,
    /// The event.
    pub event: BoundedJson<MOST_EVENT_BYTES>,
    /// Keys of the servers that signed it.
    pub keys: BoundedVec<ServerKey, MOST_KEYS>,
    /// Of a join: the answer need not have all members.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub omit_members: bool,
}

/// The answer to [`SendMember`], all events in federation form; what was not asked for is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMember {
    /// The event as it is now.
    pub event: RawJson,
    /// Of a join: the state before it. Of a knock: what is shown of the room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<RawJson>,
    /// The auth chain of the state and of the event, less what is in the state when members were omitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_chain: Vec<RawJson>,
    /// Servers with members in the room before the join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<OwnedServerName>,
}

/// Whether a user is joined; nothing where that cannot be told, since nobody of this server is in the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckJoined {
    /// The user.
    pub user_id: OwnedUserId,
}
