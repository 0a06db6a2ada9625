//! An event before it exists.

use std::borrow::Cow;

use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use tern_model::RawJson;

/// What a local user wants to send; everything else of the event is the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// `type`.
    pub kind: String,
    /// `state_key`, for state events.
    pub state_key: Option<String>,
    /// `content`, an object.
    pub content: RawJson,
    /// The event to redact; placed where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// Milliseconds for which it is sticky (MSC4354).
    pub(crate) sticky: Option<u64>,
    /// The server found the sender in a room whose members may join: only then may a join name who let it in.
    admitted: bool,
}

impl Draft {
    /// A draft as a client sends it.
    pub fn new(
        sender: OwnedUserId,
        kind: String,
        state_key: Option<String>,
        content: RawJson,
        redacts: Option<OwnedEventId>,
    ) -> Self {
        Self { sender, kind, state_key, content, redacts, sticky: None, admitted: false }
    }

    /// A state event.
    pub fn state(sender: OwnedUserId, kind: &str, state_key: impl Into<String>, content: RawJson) -> Self {
        Self::new(sender, kind.to_owned(), Some(state_key.into()), content, None)
    }

    /// The event is sticky for so many milliseconds.
    #[must_use]
    pub fn sticky(self, duration_ms: Option<u64>) -> Self {
        Self { sticky: duration_ms, ..self }
    }

    /// A join that the server lets in by the rule of a restricted room.
    pub(crate) fn admitted(self) -> Self {
        Self { admitted: true, ..self }
    }

    /// Without the word of who let the member in (`join_authorised_via_users_server`), unless that is the server's: its
    /// signature under that name is what other servers trust (room version 8, "Authorisation rules"). Clients send it
    /// along when they repeat what they read; whoever is in needs nobody's help.
    pub(crate) fn without_stray_admission(&self) -> Cow<'_, Self> {
        const NAME: &str = "join_authorised_via_users_server";
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "join_authorised_via_users_server")]
            name: Option<IgnoredAny>,
        }
        // Read and not searched for: a name may be written with escapes.
        let clean = || self.content.read::<Content>().is_ok_and(|content| content.name.is_none());
        if self.kind != "m.room.member" || self.admitted || clean() {
            return Cow::Borrowed(self);
        }
        let Ok(mut content) = self.content.read::<Map<String, Value>>() else { return Cow::Borrowed(self) };
        content.remove(NAME);
        RawJson::from_value(&content)
            .map_or(Cow::Borrowed(self), |content| Cow::Owned(Self { content, ..self.clone() }))
    }
}
