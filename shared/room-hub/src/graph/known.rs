//! The room's event graph as the rules see it in one turn: the tables, and what was fetched for the turn.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId};
use tern_model::{Pdu, RoomSeq, StoredEvent};
use tern_ports::{Sql, SqlError};
use tern_room::{Extremities, Key, StateDelta, Unreadable};

use crate::{
    graph::{fetched::Fetched, state_groups::FORMER, state_history::KEYS_AT_ONCE},
    timeline::{
        store::Store,
        view::{Transaction, parsed, unreadable},
    },
};

/// The graph. It remembers what it was asked for and did not know: an answer that lacks an event of an auth chain would be
/// another answer.
pub(crate) struct Graph<'a, S> {
    pub(super) tx: &'a Transaction<'a, S>,
    pub(super) fetched: &'a Fetched,
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

    pub(super) fn store(&self) -> Store<'a, S> {
        self.tx.store()
    }

    pub(super) fn find(&self, event_id: &EventId) -> Result<Option<Pdu>, SqlError> {
        if event_id == self.candidate.id() {
            return Ok(Some(self.candidate.clone()));
        }
        if let Some(read) = self.fetched.read.event(event_id) {
            return Ok(Some(read));
        }
        self.tx.states.spend(1);
        let found = self.look_up(event_id)?;
        if let Some(pdu) = &found {
            self.fetched.read.keep(pdu);
        }
        Ok(found)
    }

    fn look_up(&self, event_id: &EventId) -> Result<Option<Pdu>, SqlError> {
        if let Some(event) = self.store().event(event_id.as_str())? {
            // It may have been rejected nowhere and soft-failed once: what is in the timeline is part of the room.
            return parsed(&event).map(Some);
        }
        if let Some(side_event) = self.store().side_event(event_id.as_str())? {
            return Ok(Some(side_event.pdu));
        }
        self.fetched.events.get(event_id).map(parsed).transpose()
    }

    /// The event that is being checked was rejected, whatever it was known as before.
    pub(crate) fn note_rejected(&self) {
        self.fetched.read.keep(&self.candidate.clone().into_rejected());
    }

    /// What the present state is the resolution of.
    pub(crate) fn extremities(&self) -> Result<Extremities, Unreadable> {
        let (events, former) = self.tx.extremities_now();
        let former = if former { self.known_state(FORMER).map_err(unreadable)? } else { None };
        Ok(Extremities { events, former })
    }

    /// The position of an event, if the state after it is the current-state log's of then and that can be told.
    pub(crate) fn on_the_log(&self, event_id: &EventId) -> Result<Option<RoomSeq>, SqlError> {
        let store = self.store();
        if store.state_group(event_id.as_str())?.is_some() || store.side_event(event_id.as_str())?.is_some() {
            return Ok(None);
        }
        let here = store.seq_of(event_id.as_str())?;
        let seq = here.or_else(|| self.fetched(event_id).map(|event| event.seq));
        let known_from = store.known_from()?;
        Ok(seq.filter(|seq| *seq >= known_from))
    }

    pub(super) fn known_state(&self, event_id: &str) -> Result<Option<Rc<StateDelta>>, SqlError> {
        if let Some(state) = self.tx.states.state(event_id) {
            return Ok(Some(state));
        }
        let state = self.find_state(event_id)?.map(Rc::new);
        if let Some(state) = &state {
            self.tx.states.spend(state.len());
            self.tx.states.keep_state(event_id, state);
        }
        Ok(state)
    }

    fn find_state(&self, event_id: &str) -> Result<Option<StateDelta>, SqlError> {
        let store = self.store();
        if let Some(number) = store.state_group(event_id)? {
            let (base, changes) = store.state_group_delta(number)?;
            let Some(mut state) = store.state_delta_at(base)? else { return Ok(None) };
            self.read_present(&changes.keys().collect())?;
            for (key, event_id) in changes {
                if self.current(&key)? == event_id {
                    state.remove(&key);
                } else {
                    state.insert(key, event_id);
                }
            }
            return Ok(Some(state));
        }
        if store.side_event(event_id)?.is_some() {
            return Ok(None);
        }
        let here = store.seq_of(event_id)?;
        let seq = here.or_else(|| self.fetched.events.get(<&EventId>::try_from(event_id).ok()?).map(|event| event.seq));
        match seq {
            Some(seq) if seq == self.tx.newest() => Ok(Some(StateDelta::new())),
            Some(seq) => store.state_delta_at(seq),
            None => Ok(None),
        }
    }

    pub(super) fn current(&self, key: &Key) -> Result<Option<OwnedEventId>, SqlError> {
        if let Some(known) = self.tx.states.present(key) {
            return Ok(known);
        }
        let found = self.store().current_id(key)?;
        self.tx.states.keep_present(key.clone(), found.clone());
        Ok(found)
    }

    /// Reads these keys of the present, many at a time.
    pub(super) fn read_present(&self, keys: &BTreeSet<&Key>) -> Result<(), SqlError> {
        let unknown: Vec<&Key> = keys.iter().filter(|key| self.tx.states.present(key).is_none()).copied().collect();
        for chunk in unknown.chunks(KEYS_AT_ONCE) {
            let mut found: BTreeMap<Key, OwnedEventId> = self.store().current_ids(chunk)?.into_iter().collect();
            for key in chunk {
                self.tx.states.keep_present((*key).clone(), found.remove(*key));
            }
        }
        Ok(())
    }

    pub(super) fn noting<T>(&self, event_id: &EventId, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.unknown.borrow_mut().insert(event_id.to_owned());
        }
        found
    }
}
