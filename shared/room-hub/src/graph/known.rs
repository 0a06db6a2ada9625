//! The room's event graph as the rules see it in one turn: the tables, and what was fetched for the turn.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId, ServerName};
use tern_model::{Pdu, StoredEvent};
use tern_ports::{Sql, SqlError};
use tern_room::{History, Key, RoomView as _, StateDelta, Unreadable, Version};

use crate::timeline::{
    store::Store,
    view::{Transaction, parsed, unreadable},
};

/// From the storage worker, what is not here any more.
#[derive(Default)]
pub(crate) struct Fetched {
    /// Events of the timeline that were trimmed.
    pub(crate) events: BTreeMap<OwnedEventId, StoredEvent>,
    /// What events cite, along auth chains.
    pub(crate) auth: BTreeMap<OwnedEventId, Vec<OwnedEventId>>,
}

/// The graph. It remembers what it was asked for and did not know: an answer that lacks an event of an auth chain would be
/// another answer.
pub(crate) struct Graph<'a, S> {
    tx: &'a Transaction<'a, S>,
    fetched: &'a Fetched,
    /// The event that is being checked. The state after it holds it, so resolution asks for it.
    candidate: &'a Pdu,
    unknown: RefCell<BTreeSet<OwnedEventId>>,
}

impl<'a, S: Sql> Graph<'a, S> {
    pub(crate) fn new(tx: &'a Transaction<'a, S>, fetched: &'a Fetched, candidate: &'a Pdu) -> Self {
        Self { tx, fetched, candidate, unknown: RefCell::default() }
    }

    /// What was asked for and is not known.
    pub(crate) fn unknown(&self) -> Vec<OwnedEventId> {
        self.unknown.borrow().iter().cloned().collect()
    }

    /// An event of the timeline that was trimmed here.
    pub(crate) fn fetched(&self, event_id: &EventId) -> Option<&StoredEvent> {
        self.fetched.events.get(event_id)
    }

    fn store(&self) -> Store<'a, S> {
        self.tx.store()
    }

    fn find(&self, event_id: &EventId) -> Result<Option<Pdu>, SqlError> {
        if event_id == self.candidate.id() {
            return Ok(Some(self.candidate.clone()));
        }
        if let Some(event) = self.store().event(event_id.as_str())? {
            // It may have been rejected nowhere and soft-failed once: what is in the timeline is part of the room.
            return parsed(&event).map(Some);
        }
        if let Some(side_event) = self.store().side_event(event_id.as_str())? {
            return Ok(Some(side_event.pdu));
        }
        self.fetched.events.get(event_id).map(parsed).transpose()
    }

    fn find_state(&self, event_id: &EventId) -> Result<Option<StateDelta>, SqlError> {
        let store = self.store();
        if let Some(number) = store.state_group(event_id.as_str())? {
            let (base, changes) = store.state_group_delta(number)?;
            let Some(mut state) = store.state_delta_at(base)? else { return Ok(None) };
            state.extend(changes);
            return Ok(Some(state));
        }
        if store.side_event(event_id.as_str())?.is_some() {
            return Ok(None);
        }
        let here = store.seq_of(event_id.as_str())?;
        let seq = here.or_else(|| self.fetched(event_id).map(|event| event.seq));
        match seq {
            Some(seq) if seq == self.tx.newest() => Ok(Some(StateDelta::new())),
            Some(seq) => store.state_delta_at(seq),
            None => Ok(None),
        }
    }

    fn noting<T>(&self, event_id: &EventId, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.unknown.borrow_mut().insert(event_id.to_owned());
        }
        found
    }
}

impl<S: Sql> History for Graph<'_, S> {
    fn version(&self) -> &'static Version {
        self.tx.version()
    }

    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.noting(event_id, self.find(event_id).map_err(unreadable)?))
    }

    fn is_accepted(&self, event_id: &EventId) -> Result<bool, Unreadable> {
        let (store, id) = (self.store(), event_id.as_str());
        let here =
            store.seq_of(id).map_err(unreadable)?.is_some() && store.side_event(id).map_err(unreadable)?.is_none();
        Ok(here || self.fetched.events.contains_key(event_id))
    }

    fn auth_events(&self, event_id: &EventId) -> Result<Option<Vec<OwnedEventId>>, Unreadable> {
        if let Some(auth) = self.store().auth_of(event_id.as_str()).map_err(unreadable)? {
            return Ok(Some(auth));
        }
        if let Some(auth) = self.fetched.auth.get(event_id) {
            return Ok(Some(auth.clone()));
        }
        Ok(self.event(event_id)?.map(|event| event.auth().to_vec()))
    }

    fn present(&self, key: &Key) -> Result<Option<OwnedEventId>, Unreadable> {
        self.store().current_id(key).map_err(unreadable)
    }

    fn auth_events_except(&self, except: &BTreeSet<&Key>) -> Result<HashSet<OwnedEventId>, Unreadable> {
        Ok(self.store().auth_events_except(except).map_err(unreadable)?.into_iter().collect())
    }

    fn has_joined(&self, server: &ServerName) -> Result<bool, Unreadable> {
        self.tx.has_joined(server)
    }

    fn state_after(&self, event_id: &EventId) -> Result<Option<Rc<StateDelta>>, Unreadable> {
        let state = self.find_state(event_id).map_err(unreadable)?;
        Ok(self.noting(event_id, state).map(Rc::new))
    }
}
