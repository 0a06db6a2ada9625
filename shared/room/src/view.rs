//! What the rules need to know of a room.

use ruma::{OwnedEventId, OwnedUserId, RoomId, events::StateEventType};
use tern_model::Pdu;

use crate::{error::Unreadable, version::Version};

/// A forward extremity: an event that nothing refers to yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extremity {
    /// The event.
    pub event_id: OwnedEventId,
    /// Its depth.
    pub depth: u64,
}

/// A room at one moment. Reading is synchronous; a failed read is an error, never an absent event, since absence can
/// mean permission (a room without `m.room.power_levels` lets everybody set state).
pub trait RoomView {
    /// The room's id.
    fn room_id(&self) -> &RoomId;

    /// The room's version.
    fn version(&self) -> &'static Version;

    /// The current state event of a type and state key.
    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable>;

    /// The forward extremities.
    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable>;

    /// Up to `limit` joined members, in any order. Asked only for restricted joins.
    fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable>;
}

impl<V: RoomView + ?Sized> RoomView for &V {
    fn room_id(&self) -> &RoomId {
        (**self).room_id()
    }

    fn version(&self) -> &'static Version {
        (**self).version()
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        (**self).state(kind, state_key)
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        (**self).extremities()
    }

    fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        (**self).joined(limit)
    }
}
