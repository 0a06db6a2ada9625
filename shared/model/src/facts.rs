//! What may be shown of a room to those who look for one.

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use crate::RawJson;

/// What a room shows of itself, and its join rule: the fields of a room in the directory, in a summary and in a space
/// (Client-Server API, `PublishedRoomsChunk`, "Room summary").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomFacts {
    /// `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `topic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// `avatar_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// `canonical_alias`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// `room_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// `join_rule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<String>,
    /// Rooms whose members may join, under a restricted join rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// The algorithm of an encrypted room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Room version.
    pub room_version: String,
    /// Members with membership `join`.
    pub num_joined_members: u64,
    /// Guests may join.
    pub guest_can_join: bool,
    /// Anybody may read it.
    pub world_readable: bool,
    /// `m.space.child` events that name a server, in stripped form with `origin_server_ts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<RawJson>,
}
