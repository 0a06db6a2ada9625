//! What is known of a room's event graph.

use std::rc::Rc;

use ruma::{EventId, OwnedEventId};
use tern_model::Pdu;

use crate::{error::Unreadable, version::Version};

/// The state of a room at one moment: the event for each type and state key (Server-Server API, "Room State").
pub type StateMap = ruma::state_res::StateMap<OwnedEventId>;

/// A room's events and the state after each. Reading is synchronous: what lies elsewhere is fetched before.
pub trait History {
    /// The room's version.
    fn version(&self) -> &'static Version;

    /// An event, marked if it was rejected; `None` when it is not known.
    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable>;

    /// Whether an event is part of the room: known, and neither rejected nor soft-failed.
    fn is_accepted(&self, event_id: &EventId) -> Result<bool, Unreadable>;

    /// The auth events of an event; `None` when it is not known. Asked for whole auth chains, so worth a shorter way than
    /// reading the event.
    fn auth_events(&self, event_id: &EventId) -> Result<Option<Vec<OwnedEventId>>, Unreadable> {
        Ok(self.event(event_id)?.map(|event| event.auth().to_vec()))
    }

    /// The state after an event; `None` when it is not known.
    fn state_after(&self, event_id: &EventId) -> Result<Option<Rc<StateMap>>, Unreadable>;
}
