//! May this event be? (Server-Server API, "Authorization rules".)

use ruma::{
    EventId, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::AuthorizationRules,
    state_res::{
        auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
        events::RoomThirdPartyInviteEvent,
    },
    third_party_invite::IdentityServerBase64PublicKey,
};
use serde_json::value::RawValue;
use tern_model::{Pdu, ed25519};

use crate::{
    error::{AuthError, AuthoriseError, Unreadable},
    history::History,
    view::RoomView,
};

/// Where the rules of one event look: its auth events, and the create event. Read once, used for choosing auth events
/// and for both rounds of rules.
#[derive(Clone, Debug, Default)]
pub struct AuthState {
    selected: Vec<(StateEventType, String, Pdu)>,
    create: Option<Pdu>,
}

impl AuthState {
    /// Reads from `view` what the rules for an event of this kind look at (Server-Server API, "Auth events selection").
    ///
    /// # Errors
    /// When state cannot be read; `Forbidden` when the content is not that of its type.
    pub fn load(
        view: &impl RoomView,
        kind: &TimelineEventType,
        sender: &UserId,
        state_key: Option<&str>,
        content: &RawValue,
    ) -> Result<Self, AuthError> {
        let rules = &view.version().rules.authorization;
        Self::select(rules, |kind, key| view.state(kind, key), kind, sender, state_key, content)
    }

    /// As [`Self::load`], with the state that `read` reads.
    pub(crate) fn select(
        rules: &AuthorizationRules,
        read: impl Fn(&StateEventType, &str) -> Result<Option<Pdu>, Unreadable>,
        kind: &TimelineEventType,
        sender: &UserId,
        state_key: Option<&str>,
        content: &RawValue,
    ) -> Result<Self, AuthError> {
        let wanted = auth_types_for_event(kind, sender, state_key, content, rules).map_err(AuthError::Forbidden)?;
        let mut state = Self { selected: Vec::with_capacity(wanted.len()), create: None };
        for (kind, key) in wanted {
            if let Some(event) = read(&kind, &key)? {
                state.selected.push((kind, key, event));
            }
        }
        if state.state(&StateEventType::RoomCreate, "").is_none() && *kind != TimelineEventType::RoomCreate {
            state.create = read(&StateEventType::RoomCreate, "")?;
        }
        Ok(state)
    }

    /// The state that `pdu` itself cites: its auth events, and from room version 12 on the create event that the room's id
    /// names.
    pub(crate) fn cited(history: &impl History, pdu: &Pdu) -> Result<Self, AuthoriseError> {
        let mut state = Self::default();
        let mut missing = Vec::new();
        for event_id in pdu.auth() {
            match history.event(event_id)? {
                Some(event) => {
                    let key = event.key().unwrap_or_default().to_owned();
                    state.selected.push((event.kind().to_string().into(), key, event));
                }
                None => missing.push(event_id.clone()),
            }
        }
        if let Some(create) = history.version().create_event_of(pdu) {
            state.create = history.event(&create)?;
        }
        if missing.is_empty() { Ok(state) } else { Err(AuthoriseError::Missing(missing)) }
    }

    /// The auth events.
    pub fn selected(&self) -> impl Iterator<Item = &Pdu> {
        self.selected.iter().map(|(_, _, event)| event)
    }

    /// The create event.
    pub(crate) fn create(&self) -> Option<&Pdu> {
        self.state(&StateEventType::RoomCreate, "")
    }

    fn event(&self, event_id: &EventId) -> Option<&Pdu> {
        self.selected().chain(&self.create).find(|event| event.id() == event_id)
    }

    pub(crate) fn state(&self, kind: &StateEventType, state_key: &str) -> Option<&Pdu> {
        let found = self.selected.iter().find(|(k, key, _)| k == kind && key == state_key);
        match found {
            Some((_, _, event)) => Some(event),
            None => self.create.as_ref().filter(|_| *kind == StateEventType::RoomCreate),
        }
    }
}

/// Applies the authorisation rules to `pdu` with the room's current state, which for a local event is also the state
/// before it and the state of its auth events.
///
/// # Errors
/// `Forbidden` with the rule that refuses; `Unreadable` when state cannot be read.
pub fn authorise(view: &impl RoomView, pdu: &Pdu) -> Result<(), AuthError> {
    let state = AuthState::load(view, pdu.kind(), pdu.from(), pdu.key(), pdu.body())?;
    authorise_with(&view.version().rules.authorization, pdu, &state)
}

/// As [`authorise`], with what the rules look at already read.
///
/// # Errors
/// `Forbidden` with the rule that refuses.
pub fn authorise_with(rules: &AuthorizationRules, pdu: &Pdu, state: &AuthState) -> Result<(), AuthError> {
    check_state_independent_auth_rules(rules, pdu, |event_id| state.event(event_id)).map_err(AuthError::Forbidden)?;
    allow_with(rules, pdu, state)
}

/// The part of [`authorise_with`] that looks at state and not at the list of auth events.
pub(crate) fn allow_with(rules: &AuthorizationRules, pdu: &Pdu, state: &AuthState) -> Result<(), AuthError> {
    let read = |kind: &StateEventType, key: &str| state.state(kind, key).filter(|event| !anybody_signs(kind, event));
    check_state_dependent_auth_rules(rules, pdu, read).map_err(AuthError::Forbidden)
}

/// A third-party invite with a key that anybody can sign for says nothing of whom it is for.
fn anybody_signs(kind: &StateEventType, event: &Pdu) -> bool {
    let weak = |key: &IdentityServerBase64PublicKey| key.decode().is_ok_and(|key| ed25519::is_weak(&key));
    *kind == StateEventType::RoomThirdPartyInvite
        && RoomThirdPartyInviteEvent::new(event).public_keys().is_ok_and(|keys| keys.iter().any(weak))
}

/// The `membership` of a user in the room, if the user has any.
///
/// # Errors
/// When state cannot be read.
pub fn membership(view: &impl RoomView, user_id: &UserId) -> Result<Option<String>, Unreadable> {
    let event = view.state(&StateEventType::RoomMember, user_id.as_str())?;
    event.map(|event| membership_of(&event)).transpose()
}

/// The `membership` of a member event.
///
/// # Errors
/// When it has none.
pub fn membership_of(event: &Pdu) -> Result<String, Unreadable> {
    #[derive(serde::Deserialize)]
    struct Content {
        membership: String,
    }
    let content: Content =
        serde_json::from_str(event.body().get()).map_err(|error| Unreadable(format!("{}: {error}", event.id())))?;
    Ok(content.membership)
}
