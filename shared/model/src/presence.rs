//! Who is there (Client-Server API, "Presence").

use serde::{Deserialize, Serialize};

use crate::Millis;

/// A user's presence, or what a client shows itself as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Connected and about.
    Online,
    /// Connected, but away.
    Unavailable,
    /// Not connected, or not to be seen.
    #[default]
    Offline,
}

impl Presence {
    /// The value as clients have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Unavailable => "unavailable",
            Self::Offline => "offline",
        }
    }

    /// Reads the value that clients have.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Online, Self::Unavailable, Self::Offline].into_iter().find(|presence| presence.as_str() == text)
    }
}

/// What others are told of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceNote {
    /// The user's presence.
    pub presence: Presence,
    /// What the user says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_msg: Option<String>,
    /// When the user was last seen; zero for never.
    pub last_active: Millis,
}
