//! An event as it is stored and moved between workers.

use ruma::OwnedEventId;
use serde::{Deserialize, Serialize};

use crate::{Millis, RawJson, RoomSeq, TxnRef};

/// One event of a room's timeline with the columns that queries need; the PDU itself stays raw JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Position in the room.
    pub seq: RoomSeq,
    /// The event's id (its reference hash from room version 3 on).
    pub event_id: OwnedEventId,
    /// `type`.
    pub kind: String,
    /// `sender`.
    pub sender: String,
    /// `state_key`, for state events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// `origin_server_ts`.
    pub ts: Millis,
    /// The PDU in federation form: hashes and signatures included, no `event_id` from room version 3 on.
    pub pdu: RawJson,
    /// What the server adds for clients (`prev_content`, `replaces_state`, `redacted_because`), an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<RawJson>,
    /// The transaction that made it, if a local client did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<TxnRef>,
}
