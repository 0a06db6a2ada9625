//! Ignored users in what is read of rooms themselves (Client-Server API, "Ignoring Users"). A room's hub does not know
//! whom its readers ignore, so the reader's own hub is asked beside it.

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Transport, ask_user,
    wire::user::{ListIgnored, SessionRef},
};

/// The users somebody ignores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(Vec<OwnedUserId>);

impl Ignored {
    /// Whom `user_id` ignores.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` when the session has ended; 503 when the user's hub cannot be reached.
    pub async fn of(edge: &impl Transport, user_id: &UserId, session: SessionRef) -> Result<Self, MatrixError> {
        ask_user(edge, user_id, ListIgnored { session }).await.map(Self)
    }

    /// Whether the event, in client form, is kept from the reader: state never is.
    pub fn hides(&self, event: &RawJson) -> bool {
        #[derive(Deserialize)]
        struct Said {
            sender: String,
            state_key: Option<String>,
        }
        !self.0.is_empty()
            && event.read::<Said>().is_ok_and(|said| self.hides_what(&said.sender, said.state_key.as_deref()))
    }

    /// Whether an event of this sender and state key is kept from the reader.
    pub(crate) fn hides_what(&self, sender: &str, state_key: Option<&str>) -> bool {
        state_key.is_none() && self.0.iter().any(|user_id| user_id == sender)
    }

    /// The events that the reader is shown.
    pub fn sift(&self, mut events: Vec<RawJson>) -> Vec<RawJson> {
        events.retain(|event| !self.hides(event));
        events
    }

    /// The event itself, as if it were not there when it is hidden.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub fn show(&self, event: RawJson) -> Result<RawJson, MatrixError> {
        if self.hides(&event) { Err(MatrixError::not_found("Event not found")) } else { Ok(event) }
    }
}
