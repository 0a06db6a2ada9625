//! Presence between users' hubs (Client-Server API, "Presence").

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use tern_model::{Presence, PresenceNote};

use super::user::SessionRef;

/// `PUT presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPresence {
    /// The session that asks.
    pub session: SessionRef,
    /// What to show.
    pub presence: Presence,
    /// What to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_msg: Option<String>,
}

/// A user's presence, for somebody who shares a room with them; 403 for others. As the body of `GET presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPresence {
    /// Who asks.
    pub caller: OwnedUserId,
}

/// Tells a user of another one's presence; the answer is their own. 403 when they share no room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotePresence {
    /// Whose presence.
    pub user_id: OwnedUserId,
    /// The presence.
    pub note: PresenceNote,
}
