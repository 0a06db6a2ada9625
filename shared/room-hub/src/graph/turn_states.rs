//! What one turn knows of states and of resolutions, so that each is read or made once. All are told from the present,
//! so they are told anew when the present moves.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId};
use tern_model::Pdu;
use tern_ports::SqlError;
use tern_room::{Key, MOST_EXTREMITIES, StateDelta};

/// States of single events that are kept: those of the extremities and of an event that is being checked, with a former
/// state. A state takes up to some megabytes.
const MOST_STATES: usize = MOST_EXTREMITIES + 2;

/// Resolutions that are kept: the events of a batch mostly stand on the same few sets of states.
const MOST_RESOLUTIONS: usize = 8;

/// Keys of the present that are kept.
const MOST_KEYS: usize = 20_000;

/// A set of states, and what it resolves to.
type Resolution = (Vec<Rc<StateDelta>>, Rc<StateDelta>);

/// States and resolutions that were asked for in this turn, the last ones last.
#[derive(Default)]
pub(crate) struct TurnStates {
    states: RefCell<Vec<(String, Rc<StateDelta>)>>,
    resolutions: RefCell<Vec<Resolution>>,
    present: RefCell<HashMap<Key, Option<OwnedEventId>>>,
    /// What the events of the present cite, and how often.
    cited: RefCell<Option<HashMap<OwnedEventId, u64>>>,
    work: Cell<usize>,
}

impl TurnStates {
    /// Counts events and keys that are looked at.
    pub(crate) fn spend(&self, number: usize) {
        self.work.set(self.work.get().saturating_add(number));
    }

    /// Events and keys that this turn has looked at.
    pub(crate) fn work(&self) -> usize {
        self.work.get()
    }

    /// Nothing was asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.states.borrow().is_empty() && self.resolutions.borrow().is_empty() && self.present.borrow().is_empty()
    }

    /// The state after an event.
    pub(crate) fn state(&self, event_id: &str) -> Option<Rc<StateDelta>> {
        let mut states = self.states.borrow_mut();
        let index = states.iter().position(|(known, _)| known == event_id)?;
        let found = states.remove(index);
        let state = Rc::clone(&found.1);
        states.push(found);
        Some(state)
    }

    /// Keeps the state after an event.
    pub(crate) fn keep_state(&self, event_id: &str, state: &Rc<StateDelta>) {
        let mut states = self.states.borrow_mut();
        states.retain(|(known, _)| known != event_id);
        if states.len() >= MOST_STATES {
            states.remove(0);
        }
        states.push((event_id.to_owned(), Rc::clone(state)));
    }

    /// What these states resolve to.
    pub(crate) fn resolution(&self, states: &[Rc<StateDelta>]) -> Option<Rc<StateDelta>> {
        let resolutions = self.resolutions.borrow();
        resolutions.iter().find(|(known, _)| same_set(known, states)).map(|(_, resolved)| Rc::clone(resolved))
    }

    /// Keeps what states resolve to.
    pub(crate) fn keep_resolution(&self, states: &[Rc<StateDelta>], resolved: &Rc<StateDelta>) {
        let mut resolutions = self.resolutions.borrow_mut();
        if resolutions.len() >= MOST_RESOLUTIONS {
            resolutions.remove(0);
        }
        resolutions.push((states.to_vec(), Rc::clone(resolved)));
    }

    /// The event of a key of the present, where it is known.
    #[expect(clippy::option_option, reason = "not known is not the same as known to be no event")]
    pub(crate) fn present(&self, key: &Key) -> Option<Option<OwnedEventId>> {
        self.present.borrow().get(key).cloned()
    }

    /// Keeps the event of a key of the present.
    pub(crate) fn keep_present(&self, key: Key, event_id: Option<OwnedEventId>) {
        let mut present = self.present.borrow_mut();
        if present.len() < MOST_KEYS {
            present.insert(key, event_id);
        }
    }

    /// What the events of the present cite more often than `less`. It is counted once in a turn.
    pub(crate) fn cited_beyond(
        &self,
        less: &HashMap<OwnedEventId, u64>,
        count: impl FnOnce() -> Result<HashMap<OwnedEventId, u64>, SqlError>,
    ) -> Result<HashSet<OwnedEventId>, SqlError> {
        let mut cited = self.cited.borrow_mut();
        let cited = match &mut *cited {
            Some(cited) => cited,
            uncounted => {
                let counted = count()?;
                self.spend(counted.len());
                uncounted.insert(counted)
            }
        };
        let beyond = cited.iter().filter(|(id, times)| **times > less.get(*id).copied().unwrap_or_default());
        Ok(beyond.map(|(id, _)| id.clone()).collect())
    }

    /// The present has one event in the place of another.
    pub(crate) fn recount(&self, from: Option<&Pdu>, to: Option<&Pdu>) {
        let mut cited = self.cited.borrow_mut();
        let Some(cited) = &mut *cited else { return };
        for event_id in from.into_iter().flat_map(Pdu::auth) {
            cited.entry(event_id.clone()).and_modify(|times| *times = times.saturating_sub(1));
        }
        for event_id in to.into_iter().flat_map(Pdu::auth) {
            *cited.entry(event_id.clone()).or_default() += 1;
        }
    }

    /// The present moves from one event to another under a key.
    pub(crate) fn moved(&self, key: &Key, from: Option<&EventId>, to: Option<&EventId>) {
        if let Some(known) = self.present.borrow_mut().get_mut(key) {
            *known = to.map(ToOwned::to_owned);
        }
        // What was one state stays one in memory. The old ones are held, so that none takes another's address.
        let mut told: HashMap<*const StateDelta, [Rc<StateDelta>; 2]> = HashMap::new();
        let mut tell = |state: &mut Rc<StateDelta>| {
            let anew = || [Rc::clone(state), told_anew(state, key, from, to)];
            let [_, after] = told.entry(Rc::as_ptr(state)).or_insert_with(anew);
            let after = Rc::clone(after);
            *state = after;
        };
        self.states.borrow_mut().iter_mut().for_each(|(_, state)| tell(state));
        for (states, resolved) in self.resolutions.borrow_mut().iter_mut() {
            states.iter_mut().for_each(&mut tell);
            tell(resolved);
        }
    }
}

/// The same state, told from a present that has moved.
fn told_anew(state: &Rc<StateDelta>, key: &Key, from: Option<&EventId>, to: Option<&EventId>) -> Rc<StateDelta> {
    let held = match state.get(key) {
        // It differed and still does.
        Some(held) if held.as_deref() != to => return Rc::clone(state),
        Some(held) => held.clone(),
        None => from.map(ToOwned::to_owned),
    };
    let mut anew = StateDelta::clone(state);
    if held.as_deref() == to {
        anew.remove(key);
    } else {
        anew.insert(key.clone(), held);
    }
    Rc::new(anew)
}

fn same_set(one: &[Rc<StateDelta>], other: &[Rc<StateDelta>]) -> bool {
    let same = |one: &Rc<StateDelta>, other: &Rc<StateDelta>| Rc::ptr_eq(one, other) || one == other;
    one.len() == other.len() && one.iter().all(|state| other.iter().any(|other| same(state, other)))
}
