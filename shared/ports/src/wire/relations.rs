//! Events that relate to others: asked of the storage worker, and of a room's hub.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Caller, Millis, RawJson, RoomSeq, StoredEvent};

use super::sync::VisibilityFacts;

/// Events that relate to one of `targets`, with their positions in a range. Answered by an `EventPage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRelations {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Whose visibility facts to return.
    pub user_id: OwnedUserId,
    /// The events related to.
    pub targets: Vec<OwnedEventId>,
    /// Only this `rel_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rel_type: Option<String>,
    /// Only this event type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Positions greater than this.
    pub after: RoomSeq,
    /// Positions up to and including this.
    pub until: RoomSeq,
    /// Newest first when true.
    pub backwards: bool,
    /// At most this many.
    pub limit: u32,
}

/// What is stored of the edits of events, of their threads and of references to them, up to a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadAggregations {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Whose participation in threads to look for.
    pub user_id: OwnedUserId,
    /// The events related to.
    pub targets: Vec<OwnedEventId>,
    /// Positions up to and including this.
    pub until: RoomSeq,
    /// Users whose events do not count.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored: BTreeSet<OwnedUserId>,
}

/// The answer to [`LoadAggregations`] for one event that has something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAggregation {
    /// The event related to.
    pub target: OwnedEventId,
    /// The newest edit: by the target's sender, of its type, with new content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<StoredEvent>,
    /// Its thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<StoredThread>,
    /// Events that refer to it, oldest first, at most a hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<OwnedEventId>,
}

/// A thread as far as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredThread {
    /// Events in it, its root not counted.
    pub count: u64,
    /// The newest of them.
    pub latest: StoredEvent,
    /// The user sent one of them.
    pub participated: bool,
}

/// A page of a room's threads. Those that go on after what is stored are known to the caller, with their place in the
/// list; of them only the root is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageThreads {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Whose visibility facts and participation to look for.
    pub user_id: OwnedUserId,
    /// Only threads whose newest stored event is at an earlier position.
    pub before: RoomSeq,
    /// Only positions up to and including this count.
    pub until: RoomSeq,
    /// Roots of the threads that go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<OwnedEventId>,
    /// Only threads in which the user took part; known ones are returned in any case.
    pub participated: bool,
    /// At most this many, known ones not counted.
    pub limit: u32,
    /// Users whose events do not count.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored: BTreeSet<OwnedUserId>,
}

/// The answer to [`PageThreads`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadPage {
    /// In no order.
    pub threads: Vec<ThreadRow>,
    /// For deciding which roots the user may see.
    pub facts: VisibilityFacts,
}

/// A thread in a list of threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRow {
    /// Its root.
    pub root: StoredEvent,
    /// Position of its newest event.
    pub latest: RoomSeq,
    /// The user sent one of its events or the root.
    pub participated: bool,
}

/// The position of the first stored event that is not older than `ts`; nothing when all are older. Events are taken to
/// be in order of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindByTime {
    /// The room.
    pub room_id: OwnedRoomId,
    /// `origin_server_ts`.
    pub ts: Millis,
}

/// `GET context/{eventId}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadContext {
    /// Who reads.
    pub caller: Caller,
    /// Around which event.
    pub event_id: OwnedEventId,
    /// At most so many events before it, and so many after it.
    pub limits: (u32, u32),
    /// `RoomEventFilter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<RawJson>,
    /// Of the state only those who sent the events.
    #[serde(default)]
    pub only_members: bool,
    /// Whom the caller ignores: what they said is not considered in aggregations.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored: BTreeSet<OwnedUserId>,
}

/// The answer to [`ReadContext`]: events in client form with `room_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventContext {
    /// Token of the place before the first event.
    pub start: String,
    /// Token of the place after the last event.
    pub end: String,
    /// The event asked for.
    pub event: RawJson,
    /// Newest first.
    pub before: Vec<RawJson>,
    /// Oldest first.
    pub after: Vec<RawJson>,
    /// State at the last event; with lazy loading only of those who sent the events.
    pub state: Vec<RawJson>,
}

/// `GET timestamp_to_event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadEventByTime {
    /// Who reads.
    pub caller: Caller,
    /// The time.
    pub ts: Millis,
    /// The nearest event before (`dir=b`) rather than after it.
    pub backwards: bool,
}

/// The answer to [`ReadEventByTime`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTime {
    /// The event.
    pub event_id: OwnedEventId,
    /// When it was sent.
    pub origin_server_ts: Millis,
}

/// `GET relations/{eventId}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRelations {
    /// Who reads.
    pub caller: Caller,
    /// The event related to.
    pub event_id: OwnedEventId,
    /// Only this `rel_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rel_type: Option<String>,
    /// Only this event type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Token to start at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Token to stop at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `dir=b`, the default.
    pub backwards: bool,
    /// Also what relates to those that relate to the event.
    pub recurse: bool,
    /// At most this many.
    pub limit: u32,
    /// Whom the caller ignores: what they said is not considered in aggregations.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored: BTreeSet<OwnedUserId>,
}

/// The answer to [`ReadRelations`] and [`ReadThreads`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationPage {
    /// Events in client form with `room_id`.
    pub chunk: Vec<RawJson>,
    /// Token to go on with, absent at the end.
    pub next: Option<String>,
    /// Levels of relations followed, when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
}

/// `GET threads`: roots of threads, the one with the newest event first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadThreads {
    /// Who reads.
    pub caller: Caller,
    /// Only threads the caller took part in.
    pub participated: bool,
    /// Token to start at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// At most this many.
    pub limit: u32,
    /// Whom the caller ignores: what they said is not considered in aggregations.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored: BTreeSet<OwnedUserId>,
}
