//! The graph as the rules ask for it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId, ServerName};
use tern_model::Pdu;
use tern_ports::Sql;
use tern_room::{Extremities, History, Key, RoomView as _, StateDelta, Unreadable, Version, history::same};

use crate::{graph::known::Graph, timeline::view::unreadable};

impl<S: Sql> History for Graph<'_, S> {
    fn version(&self) -> &'static Version {
        self.tx.version()
    }

    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.noting(event_id, self.find(event_id).map_err(unreadable)?))
    }

    fn is_accepted(&self, event_id: &EventId) -> Result<bool, Unreadable> {
        let (store, id) = (self.store(), event_id.as_str());
        let known = store.seq_of(id).map_err(unreadable)?.is_some()
            // Another server has told the state after it, and the event is not known.
            || store.state_group(id).map_err(unreadable)?.is_some();
        let here = known && store.side_event(id).map_err(unreadable)?.is_none();
        Ok(here || self.fetched.events.contains_key(event_id))
    }

    fn auth_events(&self, event_id: &EventId) -> Result<Option<Vec<OwnedEventId>>, Unreadable> {
        let read = &self.fetched.read;
        if read.auth(event_id).is_none() {
            read.read_auth(self.store(), &[event_id]).map_err(unreadable)?;
        }
        if let Some(auth) = read.auth(event_id) {
            return Ok(Some(auth));
        }
        if let Some(auth) = self.fetched.auth.get(event_id) {
            return Ok(Some(auth.clone()));
        }
        Ok(self.event(event_id)?.map(|event| event.auth().to_vec()))
    }

    fn present(&self, key: &Key) -> Result<Option<OwnedEventId>, Unreadable> {
        self.current(key).map_err(unreadable)
    }

    fn auth_events_except(&self, except: &BTreeSet<&Key>) -> Result<HashSet<OwnedEventId>, Unreadable> {
        self.expect_present(except)?;
        let current = except.iter().filter_map(|key| self.current(key).transpose()).collect::<Result<Vec<_>, _>>();
        let current = current.map_err(unreadable)?;
        self.expect_auth_events(&current.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
        let mut less: HashMap<OwnedEventId, u64> = HashMap::new();
        for event_id in &current {
            for cited in self.auth_events(event_id)?.unwrap_or_default() {
                *less.entry(cited).or_default() += 1;
            }
        }
        self.tx.states.cited_beyond(&less, || self.store().cited_by_state()).map_err(unreadable)
    }

    fn has_joined(&self, server: &ServerName) -> Result<bool, Unreadable> {
        self.tx.has_joined(server)
    }

    fn state_after(&self, event_id: &EventId) -> Result<Option<Rc<StateDelta>>, Unreadable> {
        let state = self.known_state(event_id.as_str()).map_err(unreadable)?;
        Ok(self.noting(event_id, state))
    }

    /// What the extremities resolve to is the present.
    fn resolved(&self, states: &[Rc<StateDelta>]) -> Result<Option<Rc<StateDelta>>, Unreadable> {
        if let Some(known) = self.tx.states.resolution(states) {
            return Ok(Some(known));
        }
        let Extremities { events, former } = self.extremities()?;
        let mut present = Vec::from_iter(former);
        for event_id in &events {
            let Some(state) = self.known_state(event_id.as_str()).map_err(unreadable)? else { return Ok(None) };
            present.push(state);
        }
        let among = |one: &Rc<StateDelta>, all: &[Rc<StateDelta>]| all.iter().any(|other| same(one, other));
        let is_present =
            present.iter().all(|state| among(state, states)) && states.iter().all(|it| among(it, &present));
        Ok(is_present.then(Rc::default))
    }

    fn note_resolved(&self, states: &[Rc<StateDelta>], resolved: &Rc<StateDelta>) {
        self.tx.states.keep_resolution(states, resolved);
    }

    fn expect_events(&self, events: &[&EventId]) -> Result<(), Unreadable> {
        self.tx.states.spend(events.len());
        self.fetched.read.read(self.store(), events).map_err(unreadable)
    }

    fn expect_auth_events(&self, events: &[&EventId]) -> Result<(), Unreadable> {
        self.tx.states.spend(events.len());
        self.fetched.read.read_auth(self.store(), events).map_err(unreadable)
    }

    fn expect_present(&self, keys: &BTreeSet<&Key>) -> Result<(), Unreadable> {
        self.tx.states.spend(keys.len());
        self.read_present(keys).map_err(unreadable)
    }
}
