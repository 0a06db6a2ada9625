//! A room in a few lines: what lists are filtered and drawn by.

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

/// Facts about a room's current state, the same for every member. Made by the room's hub, kept by users' hubs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// Room version.
    pub version: String,
    /// `name` of `m.room.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `url` of `m.room.avatar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// `alias` of `m.room.canonical_alias`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// `topic` of `m.room.topic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// `type` of `m.room.create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// `room_id` of `predecessor` of `m.room.create`: the room that this one claims to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<OwnedRoomId>,
    /// `join_rule` of `m.room.join_rules`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<String>,
    /// `m.room.encryption` is set.
    #[serde(default)]
    pub encrypted: bool,
    /// `replacement_room` of `m.room.tombstone`; empty text when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstone: Option<String>,
    /// Children of a space: state keys of `m.space.child` events with a non-empty `via`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// Members with membership `join`.
    pub joined: u64,
    /// Members with membership `invite`.
    pub invited: u64,
    /// The first six members by stream order, so that five remain when the reader is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heroes: Vec<Hero>,
}

/// A member by whom a nameless room can be called (Client-Server API, "Calculating the display name for a room").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hero {
    /// The member.
    pub user_id: OwnedUserId,
    /// `displayname` of the member event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `avatar_url` of the member event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
}
