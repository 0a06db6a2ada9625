//! What a user was notified of (Client-Server API, "Listing notifications").

use serde::{Deserialize, Serialize};

use super::user::SessionRef;

/// A page of the events that notified the user, the newest first, as the body of `GET notifications`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListNotifications {
    /// The session that asks.
    pub session: SessionRef,
    /// Where to go on, as told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// At most this many.
    pub limit: u64,
    /// Only what highlights.
    #[serde(default)]
    pub highlights: bool,
}
