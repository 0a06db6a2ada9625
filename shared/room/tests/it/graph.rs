//! A room's event graph in memory.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId};
use tern_model::Pdu;
use tern_room::{History, JudgeError, Judged, Present, StateMap, Unreadable, Verdict, Version, advance, judge};

/// Events, the state after each, and the present.
pub(crate) struct Graph {
    version: &'static Version,
    events: HashMap<OwnedEventId, (Pdu, Rc<StateMap>)>,
    accepted: HashSet<OwnedEventId>,
    pub(crate) present: Present,
    /// Reading fails.
    pub(crate) broken: bool,
}

impl Graph {
    pub(crate) fn new(version: &'static Version) -> Self {
        Self { version, events: HashMap::new(), accepted: HashSet::new(), present: Present::default(), broken: false }
    }

    /// Judges an event and keeps it.
    pub(crate) fn take(&mut self, pdu: &Pdu) -> Result<Verdict, JudgeError> {
        let Judged { verdict, after, .. } = judge(&*self, &self.present, pdu)?;
        let kept = if matches!(verdict, Verdict::Reject(_)) { pdu.clone().into_rejected() } else { pdu.clone() };
        self.events.insert(pdu.id().to_owned(), (kept, after));
        if verdict == Verdict::Accept {
            self.accepted.insert(pdu.id().to_owned());
            self.present = advance(&*self, &self.present, pdu)?;
        }
        Ok(verdict)
    }

    pub(crate) fn find(&self, event_id: &EventId) -> Option<&Pdu> {
        self.events.get(event_id).map(|(pdu, _)| pdu)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Pdu> {
        self.events.values().map(|(pdu, _)| pdu)
    }

    /// The event that the present state has for a type and state key.
    pub(crate) fn now(&self, kind: &str, state_key: &str) -> Option<&Pdu> {
        self.find(self.present.state.get(&(kind.into(), state_key.to_owned()))?)
    }

    fn readable(&self) -> Result<(), Unreadable> {
        if self.broken { Err(Unreadable("disk".to_owned())) } else { Ok(()) }
    }
}

impl History for Graph {
    fn version(&self) -> &'static Version {
        self.version
    }

    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        self.readable()?;
        Ok(self.find(event_id).cloned())
    }

    fn is_accepted(&self, event_id: &EventId) -> Result<bool, Unreadable> {
        self.readable()?;
        Ok(self.accepted.contains(event_id))
    }

    fn state_after(&self, event_id: &EventId) -> Result<Option<Rc<StateMap>>, Unreadable> {
        self.readable()?;
        Ok(self.events.get(event_id).map(|(_, state)| Rc::clone(state)))
    }
}
