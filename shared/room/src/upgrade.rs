//! Room upgrades (Client-Server API, "Room upgrades"): what the new room is made of, and how the old one is closed.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_model::RawJson;

use crate::{
    create::{CreateRoomRequest, InitialState},
    draft::Draft,
    error::CreateError,
    version::Version,
};

/// Types of state that go with the room; the rest belongs to the old one.
pub const COPIED: [&str; 12] = [
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.canonical_alias",
    "m.room.create",
    "m.space.child",
];

/// The level to speak in a closed room, unless everybody has more.
const CLOSED: i64 = 50;

/// The level that may do everything while the new room is being made.
const FOUNDER: i64 = 100;

/// The body of `POST /rooms/{roomId}/upgrade`.
#[derive(Clone, Debug, Deserialize)]
pub struct UpgradeRequest {
    /// The new room's version.
    pub new_version: String,
    /// Further creators of the new room, where versions know them.
    #[serde(default)]
    pub additional_creators: Vec<OwnedUserId>,
}

/// A state event of the old room, as clients see it.
#[derive(Clone, Debug, Deserialize)]
pub struct OldState {
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `state_key`.
    pub state_key: String,
    /// `content`.
    pub content: Map<String, Value>,
}

/// What to make of an old room.
#[derive(Clone, Debug)]
pub struct Successor {
    /// The room to create.
    pub request: CreateRoomRequest,
    /// The power levels that hold once everything else is in place.
    pub levels: Map<String, Value>,
}

/// The room that takes the place of `room_id`, whose `state` is given ([`COPIED`] and bans) and whose newest event is
/// `last`. `caller` makes it.
///
/// # Errors
/// `UnsupportedVersion`.
pub fn successor(
    request: &UpgradeRequest,
    caller: &UserId,
    room_id: &RoomId,
    last: &str,
    state: Vec<OldState>,
) -> Result<Successor, CreateError> {
    let version = Version::find(&request.new_version)
        .ok_or_else(|| CreateError::UnsupportedVersion(request.new_version.clone()))?;
    let mut creation = Map::new();
    let mut levels = Map::new();
    let mut initial = Vec::new();
    let mut public = false;
    let mut guests = false;
    for OldState { kind, state_key, content } in state {
        match kind.as_str() {
            "m.room.create" => creation = content,
            "m.room.power_levels" => levels = with_whole_levels(content),
            _ => {
                public |= kind == "m.room.join_rules" && content.get("join_rule") == Some(&json!("public"));
                guests |= kind == "m.room.guest_access";
                initial.push(InitialState { kind, state_key, content });
            }
        }
    }
    if !guests {
        let content = Map::from_iter([("guest_access".to_owned(), "forbidden".into())]);
        initial.push(InitialState { kind: "m.room.guest_access".to_owned(), state_key: String::new(), content });
    }
    let creators: BTreeSet<&UserId> =
        request.additional_creators.iter().map(|user_id| &**user_id).chain([caller]).collect();
    if version.privileges_creators() {
        without_users(&mut levels, &creators);
    }
    let request = CreateRoomRequest {
        room_version: Some(request.new_version.clone()),
        creation_content: Some(creation_content(creation, request, version, room_id, last)),
        initial_state: Some(initial),
        preset: Some(if public { "public_chat" } else { "private_chat" }.to_owned()),
        power_level_content_override: Some(founding(&levels, caller, version)),
        ..CreateRoomRequest::default()
    };
    Ok(Successor { request, levels })
}

/// The levels as numbers. Before room version 10 they could be texts (and are one in a room from elsewhere), which later
/// versions refuse. What is no level at all is left out, so that the default holds.
pub fn with_whole_levels(content: Map<String, Value>) -> Map<String, Value> {
    let each = |(name, value): (String, Value)| {
        let value = match value {
            Value::Object(levels) => Value::Object(levels.into_iter().filter_map(whole_level).collect()),
            level => whole_level((String::new(), level))?.1,
        };
        Some((name, value))
    };
    content.into_iter().filter_map(each).collect()
}

fn whole_level((name, level): (String, Value)) -> Option<(String, Value)> {
    let whole = match &level {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_i64(),
        _ => None,
    };
    whole.map(|whole: i64| (name, whole.into()))
}

/// The old room's creation content, for the new room.
fn creation_content(
    mut content: Map<String, Value>,
    request: &UpgradeRequest,
    version: &Version,
    room_id: &RoomId,
    last: &str,
) -> Map<String, Value> {
    // They belong to the old room; what else is in there goes along (its type, whether it is federated).
    for name in ["creator", "room_version", "additional_creators", "predecessor", "tern.entropy"] {
        content.remove(name);
    }
    let predecessor = if version.room_id_is_create_hash() {
        json!({ "room_id": room_id })
    } else {
        json!({ "room_id": room_id, "event_id": last })
    };
    content.insert("predecessor".to_owned(), predecessor);
    if version.privileges_creators() && !request.additional_creators.is_empty() {
        let creators = request.additional_creators.iter().map(|user_id| user_id.as_str().into()).collect();
        content.insert("additional_creators".to_owned(), Value::Array(creators));
    }
    content
}

/// Levels under which the caller can put everything in place: where creators do not stand above all levels, the caller
/// has enough for it, until the real levels come last.
fn founding(levels: &Map<String, Value>, caller: &UserId, version: &Version) -> Map<String, Value> {
    let mut founding = levels.clone();
    if version.privileges_creators() {
        return founding;
    }
    let needed = levels
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "users" | "notifications" | "events"))
        .map(|(_, value)| value)
        .chain(levels.get("events").and_then(Value::as_object).into_iter().flat_map(|events| events.values()))
        .filter_map(Value::as_i64)
        .fold(FOUNDER, i64::max);
    let users = founding.entry("users").or_insert_with(|| json!({}));
    if let Some(users) = users.as_object_mut() {
        let own = users.get(caller.as_str()).and_then(Value::as_i64).unwrap_or(0);
        users.insert(caller.as_str().to_owned(), own.max(needed).into());
    }
    founding
}

fn without_users(levels: &mut Map<String, Value>, creators: &BTreeSet<&UserId>) {
    if let Some(users) = levels.get_mut("users").and_then(Value::as_object_mut) {
        users.retain(|user_id, _| !creators.iter().any(|creator| creator.as_str() == user_id));
    }
}

/// The tombstone of the old room.
///
/// # Errors
/// The serialiser's error.
pub fn tombstone(caller: &UserId, replacement: &RoomId) -> Result<Draft, serde_json::Error> {
    let content = json!({ "body": "This room has been replaced", "replacement_room": replacement });
    Ok(Draft::state(caller.to_owned(), "m.room.tombstone", "", RawJson::from_value(&content)?))
}

/// Power levels of the old room under which ordinary members neither speak nor invite; nothing when it is so already.
pub fn closed(levels: &Map<String, Value>) -> Option<Map<String, Value>> {
    let whole = with_whole_levels(levels.clone());
    let level = |name: &str| whole.get(name).and_then(Value::as_i64).unwrap_or(0);
    let restricted = CLOSED.max(level("users_default").saturating_add(1));
    let mut closed = levels.clone();
    for name in ["events_default", "invite"] {
        if level(name) < restricted {
            closed.insert(name.to_owned(), restricted.into());
        }
    }
    (closed != *levels).then_some(closed)
}
