//! Thread subscriptions (MSC4306, MSC4308): found in the room's hub, kept in the user's.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::RoomSeq;

use super::user::SessionRef;

/// Looks for a thread that a user wants to follow or to leave; 404 when there is none that they may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindThread {
    /// The user.
    pub caller: OwnedUserId,
    /// The thread's root.
    pub root: OwnedEventId,
    /// The event of the thread that makes a client follow it; 400 when it is in no or another thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<OwnedEventId>,
}

/// The answer to [`FindThread`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundThread {
    /// The room's newest position.
    pub newest: RoomSeq,
    /// Position of the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<RoomSeq>,
}

/// Follows a thread. 409 when the cause is from before the user left the thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeThread {
    /// The session that asks.
    pub session: SessionRef,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The thread's root.
    pub root: OwnedEventId,
    /// Done by a client of itself, because of the event at this position; by the person when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<RoomSeq>,
}

/// Leaves a thread; nothing when it was not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsubscribeThread {
    /// The session that asks.
    pub session: SessionRef,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The thread's root.
    pub root: OwnedEventId,
    /// The room's newest position: what is not after it makes no client follow the thread again.
    pub newest: RoomSeq,
}

/// Whether the user follows a thread, and if so, whether a client did that of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadThreadSubscription {
    /// The session that asks.
    pub session: SessionRef,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The thread's root.
    pub root: OwnedEventId,
}

/// A page of the user's subscriptions, those changed last first, as the body of `GET thread_subscriptions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListThreadSubscriptions {
    /// The session that asks.
    pub session: SessionRef,
    /// Where to go on, as told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// At most this many.
    pub limit: u64,
}
