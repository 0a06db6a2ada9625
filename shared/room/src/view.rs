//! What the rules need to know of a room.

use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId, ServerName, events::StateEventType};
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

    /// A forward extremity, as it is kept. Asked only in room versions whose references carry hashes; without it the hash is
    /// left out.
    fn event(&self, _event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        Ok(None)
    }

    /// Up to `limit` joined members, in any order. Asked only for restricted joins.
    fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable>;

    /// Some user of a server is joined. Asked only in rooms with a policy server.
    fn has_joined(&self, server: &ServerName) -> Result<bool, Unreadable> {
        Ok(self.joined(usize::MAX)?.iter().any(|user_id| user_id.server_name() == server))
    }
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

    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        (**self).event(event_id)
    }

    fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        (**self).joined(limit)
    }

    fn has_joined(&self, server: &ServerName) -> Result<bool, Unreadable> {
        (**self).has_joined(server)
    }
}
