//! What another server may read of a room (Server-Server API, "Backfilling and retrieving missing events", "Retrieving
//! events").

use ruma::{OwnedEventId, OwnedServerName};
use serde::{Deserialize, Serialize};
use tern_model::{Bounded, BoundedVec, EventRef, Millis, RawJson, RoomSeq};

/// Most events that a server names in one question.
pub const MOST_NAMED: usize = 50;

/// Longest id of an application service, in bytes.
pub const LONGEST_SERVICE: usize = 200;

/// Reads for another server, which has to be in the room and be let in by its access control list: 403 `M_FORBIDDEN`
/// otherwise, also for a room that is not here. What the server may not see comes redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadForServer {
    /// The server, in small letters.
    pub origin: OwnedServerName,
    /// What.
    pub read: ServerRead,
}

/// What a server reads. 404 `M_NOT_FOUND` for an event that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerRead {
    /// An event; the access control list does not apply.
    Event {
        /// Which.
        event_id: EventRef,
    },
    /// The state before an event, with its auth chain.
    State {
        /// Which event.
        event_id: EventRef,
        /// Events rather than their ids.
        full: bool,
    },
    /// The auth chain of an event.
    AuthChain {
        /// Which event.
        event_id: EventRef,
    },
    /// These events and those before them, newest first.
    Backfill {
        /// Where to begin; those that are not known are passed over.
        from: BoundedVec<EventRef, MOST_NAMED>,
        /// At most this many.
        limit: u32,
    },
    /// What is between some events and others, oldest first, neither among it.
    Missing {
        /// The newest that the server has heard of; those that are not known are passed over.
        latest: BoundedVec<EventRef, MOST_NAMED>,
        /// The newest that it has.
        earliest: BoundedVec<EventRef, MOST_NAMED>,
        /// Nothing of a lower depth.
        min_depth: u64,
        /// At most this many.
        limit: u32,
    },
    /// The event nearest to a time, with its id.
    Nearest {
        /// The time.
        ts: Millis,
        /// Before the time rather than after it.
        backwards: bool,
    },
    /// Nothing: only whether the server may read at all.
    Access,
}

/// The answer to [`ReadForServer`]; what was not asked for is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedEvents {
    /// Events in federation form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<RawJson>,
    /// Ids of state events, or of the event nearest to a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_ids: Vec<OwnedEventId>,
    /// The auth chain in federation form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_chain: Vec<RawJson>,
    /// The ids of the auth chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_chain_ids: Vec<OwnedEventId>,
}

/// Reads what a server is to be sent (Server-Server API, "Transactions"): events that users here have sent, and those by
/// which users of other servers came and went through this one. A server that is not in the room any more gets only those
/// that took its users out. 404 `M_NOT_FOUND` when there is no such room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOutgoing {
    /// The server, in small letters; of an application service, this one.
    pub server: OwnedServerName,
    /// The application service that is to be sent something, by the id of its registration: every event while the room
    /// concerns it, and memberships of its users otherwise, in client form (Application Service API, "Pushing events").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Bounded<LONGEST_SERVICE>>,
    /// The first position it was not sent.
    pub from: RoomSeq,
    /// The last position that counts; without one, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<RoomSeq>,
    /// Most events.
    pub limit: u32,
    /// Most bytes of them, except for a single one.
    pub max_bytes: usize,
}

/// The answer to [`ReadOutgoing`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingEvents {
    /// The events in order, in federation form; for an application service in client form.
    pub events: Vec<RawJson>,
    /// Up to here the server then has all that it needs.
    pub through: RoomSeq,
    /// The newest position of the room.
    pub newest: RoomSeq,
    /// Users of the server are in the room, or the room concerns the service.
    pub joined: bool,
}
