//! Searching what was said, asked of the storage worker.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Millis, RoomSeq};

use super::sync::VisibilityFacts;

/// Events of unencrypted rooms that hold all the words: of each room the newest, and of those the newest of all rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchEvents {
    /// Only in these rooms.
    pub rooms: Vec<OwnedRoomId>,
    /// Whose visibility facts to return.
    pub user_id: OwnedUserId,
    /// The words, each one or several that stand in a row.
    pub words: Vec<String>,
    /// Only these event types, of those that are searched: `m.room.message`, `m.room.name`, `m.room.topic`.
    pub kinds: Vec<String>,
    /// Only these senders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senders: Option<Vec<String>>,
    /// Not these senders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_senders: Vec<String>,
    /// Only events with, or without, a `url` in their content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_url: Option<bool>,
    /// Only events that relate to others in one of these ways (MSC3874).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rel_types: Option<Vec<String>>,
    /// No events that relate to others in one of these ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_rel_types: Vec<String>,
    /// Only events up to this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// At most this many.
    pub limit: u32,
}

/// The answer to [`SearchEvents`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matches {
    /// Newest first.
    pub events: Vec<MatchedEvent>,
    /// For deciding which of them the user may see: one entry for each room in which something was found.
    pub facts: Vec<(OwnedRoomId, VisibilityFacts)>,
}

/// An event that holds the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedEvent {
    /// Its room.
    pub room_id: OwnedRoomId,
    /// Its position there.
    pub seq: RoomSeq,
    /// Its id.
    pub event_id: OwnedEventId,
    /// `type`.
    pub kind: String,
    /// `sender`.
    pub sender: String,
    /// `state_key`, of a state event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// `origin_server_ts`.
    pub ts: Millis,
    /// How well it matches, in thousandths.
    pub score: u32,
}
