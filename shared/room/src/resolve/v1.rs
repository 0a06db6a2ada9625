//! The algorithm of room version 1 (room version 1, "State resolution").

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

use ruma::{OwnedEventId, events::StateEventType, state_res::check_state_dependent_auth_rules};
use sha1::{Digest, Sha1};
use tern_model::Pdu;

use super::fetch::read;
use crate::{
    error::Unreadable,
    history::{History, Key, StateMap},
};

/// Kinds whose conflicts are resolved first and in this order, since the rules look at them.
const AUTH_KINDS: [StateEventType; 3] =
    [StateEventType::RoomPowerLevels, StateEventType::RoomJoinRules, StateEventType::RoomMember];

pub(super) fn resolve(history: &impl History, states: &[StateMap]) -> Result<StateMap, Unreadable> {
    let (mut resolved, mut conflicts) = split(history, states)?;
    for kind in AUTH_KINDS {
        let of_kind: Vec<Key> = conflicts.keys().filter(|(other, _)| *other == kind).cloned().collect();
        // One user's membership does not bear on another's, so all of a kind start from the same state.
        let before = resolved.clone();
        for key in of_kind {
            if let Some(mut events) = conflicts.remove(&key) {
                events.sort_by_key(|event| (event.depth(), Reverse(sha1(event))));
                resolved.extend(newest_of_a_chain(history, &before, &key, events)?.map(|id| (key, id)));
            }
        }
    }
    let settled = resolved.clone();
    for (key, mut events) in conflicts {
        events.sort_by_key(|event| (Reverse(event.depth()), sha1(event)));
        resolved.extend(first_allowed(history, &settled, events)?.map(|id| (key, id)));
    }
    Ok(resolved)
}

/// The state that is not in dispute, and the events in dispute by what they set.
fn split(history: &impl History, states: &[StateMap]) -> Result<(StateMap, BTreeMap<Key, Vec<Pdu>>), Unreadable> {
    let mut candidates: BTreeMap<&Key, HashSet<&OwnedEventId>> = BTreeMap::new();
    for (key, event_id) in states.iter().flat_map(|state| state.iter()) {
        candidates.entry(key).or_default().insert(event_id);
    }
    let mut resolved = StateMap::new();
    let mut conflicts = BTreeMap::new();
    for (key, events) in candidates {
        if let [only] = events.iter().copied().collect::<Vec<_>>().as_slice() {
            resolved.insert(key.clone(), (*only).clone());
            continue;
        }
        let events: Result<Vec<Option<Pdu>>, _> = events.into_iter().map(|id| history.event(id)).collect();
        conflicts.insert(key.clone(), events?.into_iter().flatten().collect());
    }
    Ok((resolved, conflicts))
}

/// The first event, or the last one that each allows the next to replace.
fn newest_of_a_chain(
    history: &impl History,
    state: &StateMap,
    key: &Key,
    events: Vec<Pdu>,
) -> Result<Option<OwnedEventId>, Unreadable> {
    let mut state = state.clone();
    let mut newest: Option<Pdu> = None;
    for event in events {
        if newest.is_some() && !allowed(history, &state, &event)? {
            break;
        }
        state.insert(key.clone(), event.id().to_owned());
        newest = Some(event);
    }
    Ok(newest.map(|event| event.id().to_owned()))
}

/// The first event that the rules allow; the last one when they allow none.
fn first_allowed(
    history: &impl History,
    state: &StateMap,
    events: Vec<Pdu>,
) -> Result<Option<OwnedEventId>, Unreadable> {
    let mut last = None;
    for event in events {
        last = Some(event.id().to_owned());
        if allowed(history, state, &event)? {
            break;
        }
    }
    Ok(last)
}

fn allowed(history: &impl History, state: &StateMap, event: &Pdu) -> Result<bool, Unreadable> {
    let failure = std::cell::RefCell::new(None);
    let rules = &history.version().rules.authorization;
    let verdict = check_state_dependent_auth_rules(rules, event, |kind, state_key| {
        let event_id = state.get(&(kind.clone(), state_key.to_owned()))?;
        read(history, event_id, &failure)
    });
    match failure.into_inner() {
        Some(failure) => Err(failure),
        None => Ok(verdict.is_ok()),
    }
}

fn sha1(event: &Pdu) -> [u8; 20] {
    Sha1::digest(event.id().as_str()).into()
}
