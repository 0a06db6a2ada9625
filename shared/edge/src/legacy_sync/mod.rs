//! The syncs that clients had before `GET /sync` (Client-Server API, the deprecated part of "Syncing"; "Room previews"):
//! snapshots of a room and of all rooms, and streams of events. Element Web still looks at rooms that one is not in by them.
//!
//! They are cold, and made of what is there: a room's snapshot of reads of the room, all others of answers of classic sync.

mod all;
mod answer;
mod one;
mod peek;
mod room;

pub use all::{InitialSync, events, initial_sync};
pub use one::event;
pub use peek::peek;
pub use room::room;

use tern_model::{MatrixError, RawJson};

/// A stretch of a stream of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Where it begins.
    pub start: String,
    /// Where to go on.
    pub end: String,
    /// Events in client form with `room_id`.
    pub chunk: Vec<RawJson>,
}

/// An event that has no `room_id` with one.
fn placed(event: &RawJson, room_id: &str) -> Result<RawJson, MatrixError> {
    let fields = event.text().trim_start().strip_prefix('{').ok_or_else(MatrixError::internal)?;
    let room_id = serde_json::Value::from(room_id);
    RawJson::parse(format!("{{\"room_id\":{room_id},{fields}")).map_err(|_| MatrixError::internal())
}
