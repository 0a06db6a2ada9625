//! Events from other servers.

use ruma::{OwnedEventId, OwnedServerName};
use serde::{Deserialize, Serialize};
use tern_model::{Millis, RawJson};

/// Takes events in that other servers made (Server-Server API, "Checks performed on receipt of a PDU"), in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveEvents {
    /// The server that sends them; the room's access control list is about it.
    pub origin: OwnedServerName,
    /// For a room that is not here yet: its version. The events must then begin with `m.room.create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The events, in federation form; at most 50.
    pub events: Vec<RawJson>,
    /// Events that others cite as auth events: they become known, and no part of the timeline. At most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "cited")]
    pub outliers: Vec<RawJson>,
    /// Keys of the servers that signed.
    pub keys: Vec<ServerKey>,
}

/// A key of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKey {
    /// Whose.
    pub server_name: OwnedServerName,
    /// `ed25519:…`.
    pub key_id: String,
    /// The key, in base64 without padding.
    pub key: String,
    /// It is good for events up to this time; without one, for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Millis>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipted {
    /// Its id, unless it is no event at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<OwnedEventId>,
    /// What.
    #[serde(rename = "fate")]
    pub result: PduResult,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PduResult {
    /// It is part of the room, now or since earlier.
    Accepted,
    /// It was not allowed where it stands.
    Rejected(String),
    /// It is not allowed now.
    SoftFailed(String),
    /// It is known as an event that others cite.
    #[serde(rename = "Cited")]
    Outlier,
    /// It is not genuine, and forgotten.
    Dropped(String),
    /// It can be judged once these events are known.
    Missing(Vec<OwnedEventId>),
    /// It could not be judged, through no fault of its own: it may be sent again.
    Deferred(String),
}
