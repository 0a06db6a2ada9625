//! What several states disagree about, and the part of the auth graph that this touches (room version 2, "State
//! resolution", definitions; room version 12 adds the conflicted state subgraph).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use ruma::{
    OwnedEventId,
    state_res::{auth_types_for_event, utils::event_id_set::EventIdSet},
};

use crate::{
    error::Unreadable,
    history::{History, Key, StateDelta, StateMap, held},
};

/// Events of an auth chain that are looked at: some ten megabytes of ids. The largest rooms have chains of a tenth of it.
const LONGEST_CHAIN: usize = 100_000;

/// Several states, parted into what they agree on and what they do not.
pub(super) struct Conflict {
    /// Where all differ from the present in the same way.
    pub(super) agreed: StateDelta,
    /// What each has where not all have the same.
    pub(super) disputed: Vec<StateMap>,
    /// Keys of the latter, also where a state has nothing.
    pub(super) keys: BTreeSet<Key>,
    /// Events of the latter.
    events: HashSet<OwnedEventId>,
}

impl Conflict {
    pub(super) fn between(history: &impl History, states: &[Rc<StateDelta>]) -> Result<Self, Unreadable> {
        let mut agreed = StateDelta::new();
        let mut disputed = vec![StateMap::new(); states.len()];
        let mut keys = BTreeSet::new();
        let told = states.iter().flat_map(|state| state.keys()).collect::<BTreeSet<_>>();
        history.expect_present(&told)?;
        for key in told {
            let values: Result<Vec<_>, _> = states.iter().map(|state| held(history, state, key)).collect();
            let values = values?;
            if values.windows(2).all(|pair| matches!(pair, [one, two] if one == two)) {
                agreed.extend(values.into_iter().next().map(|value| (key.clone(), value)));
                continue;
            }
            keys.insert(key.clone());
            for (state, value) in disputed.iter_mut().zip(values) {
                state.extend(value.map(|event_id| (key.clone(), event_id)));
            }
        }
        let events: HashSet<OwnedEventId> = disputed.iter().flat_map(|state| state.values()).cloned().collect();
        history.expect_events(&events.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
        Ok(Self { agreed, disputed, keys, events })
    }

    /// For each state its full auth chain, without what is in the auth chain of events that all states agree on: those are
    /// in every chain, so the auth difference is the same, and a large room's chains need not be copied for each state.
    pub(super) fn auth_chains(&self, history: &impl History) -> Result<Vec<EventIdSet<OwnedEventId>>, Unreadable> {
        let except: BTreeSet<&Key> = self.keys.iter().chain(self.agreed.keys()).collect();
        let mut cited: Vec<OwnedEventId> = history.auth_events_except(&except)?.into_iter().collect();
        for event_id in self.agreed.values().flatten() {
            cited.extend(history.auth_events(event_id)?.unwrap_or_default());
        }
        let shared = chain(history, cited, &HashSet::new())?;
        let of = |state: &StateMap| {
            let mut cited = Vec::new();
            for event_id in state.values() {
                cited.extend(history.auth_events(event_id)?.unwrap_or_default());
            }
            Ok(chain(history, cited, &shared)?.into_iter().collect())
        };
        self.disputed.iter().map(of).collect()
    }

    /// Every event on a path through the auth graph from one disputed event to another, both ends included.
    pub(super) fn subgraph(&self, history: &impl History) -> Result<EventIdSet<OwnedEventId>, Unreadable> {
        let mut cited_by: HashMap<OwnedEventId, Vec<OwnedEventId>> = HashMap::new();
        let mut below: HashSet<OwnedEventId> = self.events.clone();
        let mut open: Vec<OwnedEventId> = self.events.iter().cloned().collect();
        while let Some(event_id) = open.pop() {
            if below.len() > LONGEST_CHAIN {
                return Err(Unreadable(format!("an auth chain of more than {LONGEST_CHAIN} events")));
            }
            for auth in history.auth_events(&event_id)?.unwrap_or_default() {
                cited_by.entry(auth.clone()).or_default().push(event_id.clone());
                if below.insert(auth.clone()) {
                    open.push(auth);
                }
            }
        }
        // Everything seen is below a disputed event; upwards from the disputed ones lies what is above one as well.
        let mut between = EventIdSet::new();
        let mut open: Vec<&OwnedEventId> = self.events.iter().collect();
        while let Some(event_id) = open.pop() {
            if between.insert(event_id.clone()) {
                open.extend(cited_by.get(event_id).into_iter().flatten());
            }
        }
        Ok(between)
    }

    /// The states as far as the algorithms look: what is disputed, and of the rest what bears on the disputed events and
    /// on `more`, their own places and what the rules for them read.
    pub(super) fn states<'a>(
        &'a self,
        history: &impl History,
        more: impl IntoIterator<Item = &'a OwnedEventId>,
    ) -> Result<Vec<StateMap>, Unreadable> {
        let rules = &history.version().rules.authorization;
        let mut wanted = BTreeSet::new();
        let looked_at: Vec<&OwnedEventId> = self.events.iter().chain(more).collect();
        history.expect_events(&looked_at.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
        for event_id in looked_at {
            let Some(event) = history.event(event_id)? else { continue };
            wanted.extend(event.key().map(|key| (event.kind().to_string().into(), key.to_owned())));
            // The rules refuse an event of a wrong shape without reading any state.
            let read = auth_types_for_event(event.kind(), event.from(), event.key(), event.body(), rules);
            wanted.extend(read.unwrap_or_default());
        }
        let mut rest = BTreeMap::new();
        for key in wanted.into_iter().filter(|key| !self.keys.contains(key)) {
            rest.extend(held(history, &self.agreed, &key)?.map(|event_id| (key, event_id)));
        }
        let whole = |state: &StateMap| {
            let rest = rest.iter().map(|(key, event_id)| (key.clone(), event_id.clone()));
            state.iter().map(|(key, event_id)| (key.clone(), event_id.clone())).chain(rest).collect()
        };
        Ok(self.disputed.iter().map(whole).collect())
    }

    /// What was resolved, as it differs from the present.
    pub(super) fn settled(self, history: &impl History, resolved: &StateMap) -> Result<StateDelta, Unreadable> {
        let mut difference = self.agreed;
        for key in self.keys.into_iter().filter(|key| !resolved.contains_key(key)) {
            difference.insert(key, None);
        }
        difference.extend(resolved.iter().map(|(key, event_id)| (key.clone(), Some(event_id.clone()))));
        let mut settled = StateDelta::new();
        for (key, event_id) in difference {
            if history.present(&key)? != event_id {
                settled.insert(key, event_id);
            }
        }
        Ok(settled)
    }
}

/// `events` and their auth chains, stopping at what is in `except`. Unknown events end their path.
fn chain(
    history: &impl History,
    events: Vec<OwnedEventId>,
    except: &HashSet<OwnedEventId>,
) -> Result<HashSet<OwnedEventId>, Unreadable> {
    let mut chain = HashSet::new();
    let mut level = events;
    while !level.is_empty() {
        level.retain(|event_id| !except.contains(event_id) && chain.insert(event_id.clone()));
        if chain.len() > LONGEST_CHAIN {
            return Err(Unreadable(format!("an auth chain of more than {LONGEST_CHAIN} events")));
        }
        history.expect_auth_events(&level.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
        let mut next = Vec::new();
        for event_id in &level {
            next.extend(history.auth_events(event_id)?.unwrap_or_default());
        }
        level = next;
    }
    Ok(chain)
}
