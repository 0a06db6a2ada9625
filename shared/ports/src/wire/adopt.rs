//! A room of other servers that a user here has joined through one of them (Server-Server API, "Joining Rooms").

use ruma::{OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{BoundedJson, BoundedVec, EventRef, Name};

use super::{handshake::MOST_EVENT_BYTES, receive::ServerKey};

/// Longest answer to `send_join`, in bytes: some ten thousand members. A room that is larger is not joined.
pub const MOST_ADOPTED_BYTES: usize = 8 << 20;
/// Most events of a room's state, and of its auth chain: more do not fit into such an answer.
pub const MOST_ADOPTED: usize = 20_000;
/// Most keys of those who signed them.
pub const MOST_ADOPTED_KEYS: usize = 5_000;
/// Most servers that are named.
pub const MOST_RESIDENTS: usize = 20;

/// An event in federation form.
pub type WireEvent = BoundedJson<MOST_EVENT_BYTES>;

/// Makes a room of what another server has answered to a join, or, where nobody of this server is in it any more, has it go on
/// from there: all or nothing. Events that are not genuine, or not allowed by what they cite, are left out; without those
/// that a room cannot do without, 502 `M_UNKNOWN`. 400 `M_ROOM_IN_USE` when somebody of this server is in the room; 413
/// `M_TOO_LARGE` when its state is too large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptRoom {
    /// The room's version.
    pub version: Name,
    /// Who joins.
    pub user_id: OwnedUserId,
    /// The join's id, as it was sent.
    pub event_id: EventRef,
    /// The join, signed by whoever had to sign it.
    pub event: WireEvent,
    /// The state before it.
    pub state: BoundedVec<WireEvent, MOST_ADOPTED>,
    /// What these events cite.
    pub auth_chain: BoundedVec<WireEvent, MOST_ADOPTED>,
    /// Keys of the servers that signed.
    pub keys: BoundedVec<ServerKey, MOST_ADOPTED_KEYS>,
}

/// Asks which servers were in the room when it was last known here: at most [`MOST_RESIDENTS`], first that of whoever has
/// invited the user. None for a room that is not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListResidents {
    /// The user.
    pub user_id: OwnedUserId,
}

/// The answer to [`ListResidents`].
pub type Residents = BoundedVec<OwnedServerName, MOST_RESIDENTS>;
