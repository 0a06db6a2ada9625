//! A room's event graph in memory.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId, ServerName};
use tern_model::Pdu;
use tern_room::{
    Advance, AuthoriseError, AuthorisedPdu, Extremities, Former, History, Key, StateDelta, StateMap, Unreadable,
    Verdict, Version, advance, authorise_pdu, resolve,
};

/// What a new event stands on.
#[derive(Clone, Default)]
pub(crate) struct Present {
    pub(crate) extremities: Vec<OwnedEventId>,
    pub(crate) state: Rc<StateMap>,
    former: Option<Rc<StateMap>>,
}

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

    /// Checks an event and keeps it.
    pub(crate) fn take(&mut self, pdu: &Pdu) -> Result<Verdict, AuthoriseError> {
        let AuthorisedPdu { verdict, after, .. } = authorise_pdu(&*self, pdu)?;
        let kept = if matches!(verdict, Verdict::Reject(_)) { pdu.clone().into_rejected() } else { pdu.clone() };
        self.events.insert(pdu.id().to_owned(), (kept, self.whole(&after)));
        if verdict == Verdict::Accept {
            self.accepted.insert(pdu.id().to_owned());
            let former = self.present.former.as_ref().map(|former| Rc::new(self.difference(former)));
            let before = Extremities { events: self.present.extremities.clone(), former };
            let Advance { extremities, former, changes } = advance(&*self, &before, pdu, &after)?;
            let state = self.whole(&changes);
            let former = match former {
                Former::Nothing => None,
                Former::Kept => self.present.former.take(),
                Former::Present => Some(Rc::clone(&state)),
            };
            self.present = Present { extremities, state, former };
        }
        Ok(verdict)
    }

    /// One state out of several.
    pub(crate) fn resolve(&self, states: &[Rc<StateMap>]) -> Result<Rc<StateMap>, Unreadable> {
        let differences: Vec<_> = states.iter().map(|state| Rc::new(self.difference(state))).collect();
        Ok(self.whole(&*resolve(self, &differences)?))
    }

    fn difference(&self, state: &StateMap) -> StateDelta {
        let keys = state.keys().chain(self.present.state.keys());
        let differs = keys.filter(|key| state.get(*key) != self.present.state.get(*key));
        differs.map(|key| (key.clone(), state.get(key).cloned())).collect()
    }

    fn whole(&self, difference: &StateDelta) -> Rc<StateMap> {
        let mut state = StateMap::clone(&self.present.state);
        for (key, event_id) in difference {
            match event_id {
                Some(event_id) => drop(state.insert(key.clone(), event_id.clone())),
                None => drop(state.remove(key)),
            }
        }
        Rc::new(state)
    }

    pub(crate) fn find(&self, event_id: &EventId) -> Option<&Pdu> {
        self.events.get(event_id).map(|(pdu, _)| pdu)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Pdu> {
        self.events.values().map(|(pdu, _)| pdu)
    }

    pub(crate) fn state_of(&self, event_id: &EventId) -> Option<Rc<StateMap>> {
        self.events.get(event_id).map(|(_, state)| Rc::clone(state))
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

    fn present(&self, key: &Key) -> Result<Option<OwnedEventId>, Unreadable> {
        self.readable()?;
        Ok(self.present.state.get(key).cloned())
    }

    fn auth_events_except(&self, except: &BTreeSet<&Key>) -> Result<HashSet<OwnedEventId>, Unreadable> {
        let mut cited = HashSet::new();
        for (_, event_id) in self.present.state.iter().filter(|(key, _)| !except.contains(key)) {
            cited.extend(self.auth_events(event_id)?.unwrap_or_default());
        }
        Ok(cited)
    }

    fn has_joined(&self, server: &ServerName) -> Result<bool, Unreadable> {
        let suffix = format!(":{server}");
        let joined = |pdu: &Pdu| tern_room::auth::membership_of(pdu).is_ok_and(|membership| membership == "join");
        let mut members = self.present.state.iter().filter(|((_, key), _)| key.ends_with(&suffix));
        Ok(members.any(|(_, event_id)| self.find(event_id).is_some_and(joined)))
    }

    fn state_after(&self, event_id: &EventId) -> Result<Option<Rc<StateDelta>>, Unreadable> {
        self.readable()?;
        Ok(self.state_of(event_id).map(|state| Rc::new(self.difference(&state))))
    }
}
