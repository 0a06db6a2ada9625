//! Other servers that fail again and again, as administrators are told.

use ruma::OwnedServerName;
use serde::{Deserialize, Serialize};
use tern_model::Millis;

/// Notes that a server fails, or that it does not any more. Only objects of servers that are in a room here ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteTrouble {
    /// The server, in small letters.
    pub server: OwnedServerName,
    /// It fails.
    pub fails: bool,
    /// Since when, unless that is known.
    pub ts: Millis,
}

/// Reads servers that fail, in order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTroubles {
    /// Those after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<OwnedServerName>,
    /// At most this many.
    pub limit: u32,
}

/// A server that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TroubledServer {
    /// The server.
    pub server: OwnedServerName,
    /// Since when.
    pub since: Millis,
}
