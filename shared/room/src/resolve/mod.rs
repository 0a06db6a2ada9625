//! State resolution (Server-Server API, "Room state resolution"): one state out of several.
//!
//! Room version 1 has an algorithm of its own ([`v1`]); versions 2 to 11 share one, and version 12 (MSC4297) changes
//! where it starts and what it looks at. The latter two are `ruma-state-res`'s; what they look at is gathered here
//! ([`conflict`]), so that a large room costs what it disagrees about, and one walk over its auth chains.

mod conflict;
mod fetch;
mod v1;

use std::{cell::RefCell, rc::Rc};

use crate::{
    error::Unreadable,
    history::{History, StateDelta, StateMap, same},
};
use conflict::Conflict;
use fetch::read;
use ruma::{
    EventId, OwnedEventId,
    room_version_rules::{StateResolutionV2Rules, StateResolutionVersion},
    state_res::{self, utils::event_id_set::EventIdSet},
};

/// Resolves `states`. The result depends on neither their order nor their number of repetitions. Time and memory go with
/// what the states disagree about and not with the size of the room, but for one walk over its auth chains.
///
/// # Errors
/// When an event that the algorithm has to look at cannot be read.
pub fn resolve(history: &impl History, states: &[Rc<StateDelta>]) -> Result<Rc<StateDelta>, Unreadable> {
    let states = distinct(states);
    match states.as_slice() {
        [] => return Ok(Rc::default()),
        [only] => return Ok(Rc::clone(only)),
        _ => {}
    }
    if let Some(known) = history.resolved(&states)? {
        return Ok(known);
    }
    let conflict = Conflict::between(history, &states)?;
    let resolved = match &history.version().rules.state_res {
        _ if conflict.keys.is_empty() => StateMap::new(),
        StateResolutionVersion::V1 => v1::resolve(history, &conflict.states(history, [])?)?,
        StateResolutionVersion::V2(rules) => v2(history, &conflict, *rules)?,
        other => return Err(Unreadable(format!("state resolution {other:?} is unknown"))),
    };
    let settled = Rc::new(conflict.settled(history, &resolved)?);
    history.note_resolved(&states, &settled);
    Ok(settled)
}

fn distinct(states: &[Rc<StateDelta>]) -> Vec<Rc<StateDelta>> {
    let mut distinct: Vec<Rc<StateDelta>> = Vec::with_capacity(states.len());
    for state in states {
        if !distinct.iter().any(|other| same(other, state)) {
            distinct.push(Rc::clone(state));
        }
    }
    distinct
}

fn v2(history: &impl History, conflict: &Conflict, rules: StateResolutionV2Rules) -> Result<StateMap, Unreadable> {
    let subgraph =
        if rules.consider_conflicted_state_subgraph { conflict.subgraph(history)? } else { EventIdSet::new() };
    let chains = conflict.auth_chains(history)?;
    let states = {
        let looked_at: EventIdSet<OwnedEventId> = chains.iter().flatten().chain(&subgraph).cloned().collect();
        conflict.states(history, &looked_at)?
    };
    let failure = RefCell::new(None);
    let fetch = |event_id: &EventId| read(history, event_id, &failure);
    let resolved = state_res::resolve(&history.version().rules.authorization, &rules, &states, chains, fetch, |_| {
        Some(subgraph.clone())
    });
    match failure.into_inner() {
        Some(failure) => Err(failure),
        None => resolved.map_err(|error| Unreadable(error.to_string())),
    }
}
