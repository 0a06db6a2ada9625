//! Typing and receipts between servers (Server-Server API, "Typing Notifications", "Receipts").

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{BoundedVec, EventRef, Millis, ThreadId};

/// Most of either in one message.
pub const MOST: usize = 200;

/// Somebody types, or does not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typist {
    /// Who.
    pub user_id: OwnedUserId,
    /// Whether they type.
    pub typing: bool,
}

/// A public receipt, `m.read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReceipt {
    /// Who read.
    pub user_id: OwnedUserId,
    /// Up to which event.
    pub event_id: EventRef,
    /// `main`, a thread root's id, or nothing for an unthreaded receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    /// When.
    pub ts: Millis,
}

/// What users of another server do in a room, as that server says. Whoever is not in the room is passed over.
///
/// 404 `M_NOT_FOUND` where nobody here is in the room, 403 `M_FORBIDDEN` for a server that the room keeps out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveEphemeral {
    /// The server, which has signed the request; the users are its own.
    pub origin: OwnedServerName,
    /// Who types.
    #[serde(default, skip_serializing_if = "BoundedVec::is_empty")]
    pub typing: BoundedVec<Typist, MOST>,
    /// Who has read what.
    #[serde(default, skip_serializing_if = "BoundedVec::is_empty")]
    pub receipts: BoundedVec<ReadReceipt, MOST>,
}

/// What users here do in a room that the server is in. Nothing of it is kept when the object loses its memory. Only rooms' hubs
/// ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEphemeral {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who types.
    #[serde(default, skip_serializing_if = "BoundedVec::is_empty")]
    pub typing: BoundedVec<Typist, MOST>,
    /// Who has read what.
    #[serde(default, skip_serializing_if = "BoundedVec::is_empty")]
    pub receipts: BoundedVec<ReadReceipt, MOST>,
}
