//! What is known of a room's event graph.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId, ServerName, events::StateEventType};
use tern_model::Pdu;

use crate::{error::Unreadable, version::Version};

/// A type and a state key.
pub type Key = (StateEventType, String);

/// The state of a room at one moment: the event for each type and state key (Server-Server API, "Room State").
pub type StateMap = ruma::state_res::StateMap<OwnedEventId>;

/// A state, told by where it differs from the room's present: the event that it has there, or that it has none. So a
/// large room's state takes as much memory as has changed since.
pub type StateDelta = BTreeMap<Key, Option<OwnedEventId>>;

/// A room's events, its present state, and the state after each event. Reading is synchronous: what lies elsewhere is
/// fetched before.
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

    /// The event that the present state has under a key.
    fn present(&self, key: &Key) -> Result<Option<OwnedEventId>, Unreadable>;

    /// The auth events, each once, of all events of the present state but those under `except`.
    fn auth_events_except(&self, except: &BTreeSet<&Key>) -> Result<HashSet<OwnedEventId>, Unreadable>;

    /// Some user of a server is joined, by the present state.
    fn has_joined(&self, server: &ServerName) -> Result<bool, Unreadable>;

    /// How the state after an event differs from the present; `None` when it is not known.
    fn state_after(&self, event_id: &EventId) -> Result<Option<Rc<StateDelta>>, Unreadable>;

    /// What these distinct states resolve to, if that is known already.
    fn resolved(&self, _states: &[Rc<StateDelta>]) -> Result<Option<Rc<StateDelta>>, Unreadable> {
        Ok(None)
    }

    /// These distinct states resolve to that.
    fn note_resolved(&self, _states: &[Rc<StateDelta>], _resolved: &Rc<StateDelta>) {}

    /// These events will be asked for: worth reading together.
    fn expect_events(&self, _events: &[&EventId]) -> Result<(), Unreadable> {
        Ok(())
    }

    /// The auth events of these will be asked for.
    fn expect_auth_events(&self, _events: &[&EventId]) -> Result<(), Unreadable> {
        Ok(())
    }

    /// These keys of the present will be asked for.
    fn expect_present(&self, _keys: &BTreeSet<&Key>) -> Result<(), Unreadable> {
        Ok(())
    }
}

/// The event under a key in a state.
pub(crate) fn held(history: &impl History, state: &StateDelta, key: &Key) -> Result<Option<OwnedEventId>, Unreadable> {
    match state.get(key) {
        Some(event_id) => Ok(event_id.clone()),
        None => history.present(key),
    }
}

/// They are one state.
#[must_use]
pub fn same(one: &Rc<StateDelta>, other: &Rc<StateDelta>) -> bool {
    Rc::ptr_eq(one, other) || one == other
}
