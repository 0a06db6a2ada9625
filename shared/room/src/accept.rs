//! What becomes of an event, local or from another server: the last four checks on receipt of a PDU, and the state around
//! it. The heart of a room; its present after the event is [`mod@crate::advance`]'s.

use std::rc::Rc;

use ruma::events::{StateEventType, TimelineEventType};
use tern_model::Pdu;

use crate::{
    auth::{AuthState, allow_with, authorise_with},
    error::{AuthError, AuthoriseError, Unreadable},
    history::{History, StateDelta, held},
    policy,
    resolve::resolve,
};

/// What the rules say of an event (Server-Server API, "Checks performed on receipt of a PDU").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is part of the room.
    Accept,
    /// It broke the rules where it stands: kept, never shown, and nothing may stand on it.
    Reject(String),
    /// It was allowed where it stands but is not allowed now, or the room's policy server does not stand behind it: kept for
    /// those who build on it, not shown, not built on.
    SoftFail(String),
}

/// An event with its verdict and the state around it, told from the present before it.
#[derive(Clone, Debug)]
pub struct AuthorisedPdu {
    /// The verdict.
    pub verdict: Verdict,
    /// The state before the event.
    pub before: Rc<StateDelta>,
    /// The state after it: another only if it is a state event that was not rejected.
    pub after: Rc<StateDelta>,
}

/// Checks an event by its auth events alone: one that is known only because others cite it. Never soft-failed.
///
/// # Errors
/// `Missing` when its auth events are not known.
pub fn authorise_outlier(history: &impl History, pdu: &Pdu) -> Result<Verdict, AuthoriseError> {
    let cited = AuthState::cited(history, pdu)?;
    let refused = reason(authorise_with(&history.version().rules.authorization, pdu, &cited))?;
    Ok(refused.or_else(|| unknown_version(history, pdu)).map_or(Verdict::Accept, Verdict::Reject))
}

/// Checks `pdu` by its auth events, by the state before it, by the present state, and by the room's policy server, in
/// this order.
///
/// # Errors
/// `Missing` when its auth events or the state before it are not known.
pub fn authorise_pdu(history: &impl History, pdu: &Pdu) -> Result<AuthorisedPdu, AuthoriseError> {
    let before = state_before(history, pdu)?;
    let verdict = match auth_failure(history, &before, pdu)? {
        None => Verdict::Accept,
        Some(verdict) => verdict,
    };
    let after = match (&verdict, pdu.key()) {
        (Verdict::Reject(_), _) | (_, None) => Rc::clone(&before),
        (_, Some(state_key)) => Rc::new(with(&before, pdu, state_key)),
    };
    Ok(AuthorisedPdu { verdict, before, after })
}

/// The resolution of the states after the events before it.
fn state_before(history: &impl History, pdu: &Pdu) -> Result<Rc<StateDelta>, AuthoriseError> {
    let mut missing = Vec::new();
    let mut states = Vec::with_capacity(pdu.prev().len());
    for previous in pdu.prev() {
        match history.state_after(previous)? {
            Some(state) => states.push(state),
            None => missing.push(previous.clone()),
        }
    }
    if missing.is_empty() { Ok(resolve(history, &states)?) } else { Err(AuthoriseError::Missing(missing)) }
}

/// The first check that the event does not pass, as a verdict.
fn auth_failure(history: &impl History, before: &StateDelta, pdu: &Pdu) -> Result<Option<Verdict>, AuthoriseError> {
    if let Some(reason) = unknown_version(history, pdu) {
        return Ok(Some(Verdict::Reject(reason)));
    }
    if let Some(reason) = rootless(history, pdu)? {
        return Ok(Some(Verdict::Reject(reason)));
    }
    let rules = &history.version().rules.authorization;
    let cited = AuthState::cited(history, pdu)?;
    if let Some(reason) = reason(authorise_with(rules, pdu, &cited))? {
        return Ok(Some(Verdict::Reject(reason)));
    }
    if let Some(reason) = reason(allow_in(history, before, pdu))? {
        return Ok(Some(Verdict::Reject(reason)));
    }
    let now = if before.is_empty() { None } else { reason(allow_in(history, &StateDelta::new(), pdu))? };
    Ok(now
        .map_or_else(|| policy::missing_recommendation(history, pdu), |reason| Ok(Some(reason)))?
        .map(Verdict::SoftFail))
}

/// Only the create event stands on nothing, and a room has one.
fn rootless(history: &impl History, pdu: &Pdu) -> Result<Option<String>, Unreadable> {
    if !pdu.prev().is_empty() {
        return Ok(None);
    }
    let create = history.present(&(StateEventType::RoomCreate, String::new()))?;
    let is_create = *pdu.kind() == TimelineEventType::RoomCreate;
    let stands = is_create && create.is_none_or(|create| create == pdu.id());
    Ok((!stands).then(|| "it stands on no event of the room".to_owned()))
}

/// A create event must name a version that is recognised, and the one that the room is taken for. A room that names none
/// has version 1.
fn unknown_version(history: &impl History, pdu: &Pdu) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Content {
        room_version: Option<String>,
    }
    if *pdu.kind() != TimelineEventType::RoomCreate {
        return None;
    }
    let named = serde_json::from_str::<Content>(pdu.body().get()).map(|content| content.room_version);
    match named {
        Ok(named) if named.as_deref().unwrap_or("1") == history.version().id => None,
        Ok(named) => Some(format!("the room's version is not {named:?}")),
        Err(error) => Some(error.to_string()),
    }
}

/// The rules that depend on state, with `state`.
fn allow_in(history: &impl History, state: &StateDelta, pdu: &Pdu) -> Result<(), AuthError> {
    let rules = &history.version().rules.authorization;
    let read =
        |kind: &StateEventType, state_key: &str| match held(history, state, &(kind.clone(), state_key.to_owned()))? {
            Some(event_id) => history.event(&event_id),
            None => Ok(None),
        };
    let state = AuthState::select(rules, read, pdu.kind(), pdu.from(), pdu.key(), pdu.body())?;
    allow_with(rules, pdu, &state)
}

fn reason(checked: Result<(), AuthError>) -> Result<Option<String>, Unreadable> {
    match checked {
        Ok(()) => Ok(None),
        Err(AuthError::Forbidden(reason)) => Ok(Some(reason)),
        Err(AuthError::Unreadable(cause)) => Err(cause),
    }
}

fn with(state: &StateDelta, pdu: &Pdu, state_key: &str) -> StateDelta {
    let mut state = state.clone();
    state.insert((pdu.kind().to_string().into(), state_key.to_owned()), Some(pdu.id().to_owned()));
    state
}
