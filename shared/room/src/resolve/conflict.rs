//! What several states disagree about, and the part of the auth graph that this touches (room version 2, "State
//! resolution", definitions; room version 12 adds the conflicted state subgraph).

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use ruma::{OwnedEventId, state_res::utils::event_id_set::EventIdSet};

use crate::{
    error::Unreadable,
    history::{History, StateMap},
};

/// The events of several states, parted.
pub(super) struct Conflict {
    /// In every state.
    agreed: HashSet<OwnedEventId>,
    /// In some but not in all.
    disputed: HashSet<OwnedEventId>,
}

impl Conflict {
    pub(super) fn between(states: &[Rc<StateMap>]) -> Self {
        let mut holders: HashMap<&OwnedEventId, usize> = HashMap::new();
        for event_id in states.iter().flat_map(|state| state.values()) {
            *holders.entry(event_id).or_default() += 1;
        }
        let (agreed, disputed) = holders.into_iter().partition::<HashMap<_, _>, _>(|(_, count)| *count == states.len());
        Self { agreed: agreed.into_keys().cloned().collect(), disputed: disputed.into_keys().cloned().collect() }
    }

    /// For each state its full auth chain, without what is in the auth chain of events that all states agree on: those are
    /// in every chain, so the auth difference is the same, and a large room's chains need not be copied for each state.
    pub(super) fn auth_chains(
        &self,
        history: &impl History,
        states: &[Rc<StateMap>],
    ) -> Result<Vec<EventIdSet<OwnedEventId>>, Unreadable> {
        let shared = chain(history, &self.agreed, &HashSet::new())?;
        let of = |state: &Rc<StateMap>| {
            let own = state.values().filter(|event_id| self.disputed.contains(*event_id));
            chain(history, own, &shared).map(|chain| chain.into_iter().collect())
        };
        states.iter().map(of).collect()
    }

    /// Every event on a path through the auth graph from one disputed event to another, both ends included.
    pub(super) fn subgraph(&self, history: &impl History) -> Result<EventIdSet<OwnedEventId>, Unreadable> {
        let mut cited_by: HashMap<OwnedEventId, Vec<OwnedEventId>> = HashMap::new();
        let mut below: HashSet<OwnedEventId> = self.disputed.clone();
        let mut open: Vec<OwnedEventId> = self.disputed.iter().cloned().collect();
        while let Some(event_id) = open.pop() {
            for auth in history.auth_events(&event_id)?.unwrap_or_default() {
                cited_by.entry(auth.clone()).or_default().push(event_id.clone());
                if below.insert(auth.clone()) {
                    open.push(auth);
                }
            }
        }
        // Everything seen is below a disputed event; upwards from the disputed ones lies what is above one as well.
        let mut between = EventIdSet::new();
        let mut open: Vec<&OwnedEventId> = self.disputed.iter().collect();
        while let Some(event_id) = open.pop() {
            if between.insert(event_id.clone()) {
                open.extend(cited_by.get(event_id).into_iter().flatten());
            }
        }
        Ok(between)
    }
}

/// The auth chains of `events` together, stopping at what is in `except`. Unknown events end their path.
fn chain<'a>(
    history: &impl History,
    events: impl IntoIterator<Item = &'a OwnedEventId>,
    except: &HashSet<OwnedEventId>,
) -> Result<HashSet<OwnedEventId>, Unreadable> {
    let mut chain = HashSet::new();
    let mut open = Vec::new();
    for event_id in events {
        open.extend(history.auth_events(event_id)?.unwrap_or_default());
    }
    while let Some(event_id) = open.pop() {
        if !except.contains(&event_id) && !chain.contains(&event_id) {
            open.extend(history.auth_events(&event_id)?.unwrap_or_default());
            chain.insert(event_id);
        }
    }
    Ok(chain)
}
