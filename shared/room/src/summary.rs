//! A room in a few lines, and the stripped state for those outside it.

use ruma::{OwnedRoomId, OwnedUserId, events::StateEventType};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tern_model::{Hero, Pdu, RawJson, RoomSummary};

use crate::{client::stripped_event, error::Unreadable, view::RoomView};

/// Most heroes a summary names, so that five remain when the reader is left out.
pub const HEROES: usize = 6;

/// What a summary needs beyond single state events.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// How many have membership `join`.
    pub joined: u64,
    /// How many have membership `invite`.
    pub invited: u64,
    /// Member events by stream order: joined and invited ones, or else those who left and were banned.
    pub heroes: Vec<Pdu>,
}

/// Most children of a space that are looked at: those that were removed are among them.
pub const MOST_LOOKED_AT: usize = 5_000;

/// Most children of a space that are shown.
pub const MOST_CHILDREN: usize = 1_000;

/// The summary of a room. `children` are its `m.space.child` events.
///
/// # Errors
/// When state cannot be read. Content of a wrong shape is as good as absent.
pub fn summarise(
    view: &impl RoomView,
    members: &Members,
    children: impl IntoIterator<Item = Pdu>,
) -> Result<RoomSummary, Unreadable> {
    let text = |kind: StateEventType, field: &str| -> Result<Option<String>, Unreadable> {
        Ok(view.state(&kind, "")?.and_then(|event| text_of(&event, field)))
    };
    let tombstone = view.state(&StateEventType::RoomTombstone, "")?;
    let create = view.state(&StateEventType::RoomCreate, "")?;
    let mut creation = create.as_ref().and_then(content::<Value>).unwrap_or_default();
    Ok(RoomSummary {
        version: view.version().id.to_owned(),
        name: text(StateEventType::RoomName, "name")?.filter(|name| !name.is_empty()),
        avatar: text(StateEventType::RoomAvatar, "url")?.filter(|url| !url.is_empty()),
        canonical_alias: text(StateEventType::RoomCanonicalAlias, "alias")?.filter(|alias| !alias.is_empty()),
        topic: text(StateEventType::RoomTopic, "topic")?.filter(|topic| !topic.is_empty()),
        predecessor: predecessor(&creation),
        room_type: take_text(&mut creation, "type"),
        join_rule: text(StateEventType::RoomJoinRules, "join_rule")?,
        encrypted: view.state(&StateEventType::RoomEncryption, "")?.is_some(),
        tombstone: tombstone.map(|event| text_of(&event, "replacement_room").unwrap_or_default()),
        children: children
            .into_iter()
            .take(MOST_LOOKED_AT)
            .filter_map(|event| child(&event))
            .take(MOST_CHILDREN)
            .collect(),
        joined: members.joined,
        invited: members.invited,
        heroes: members.heroes.iter().take(HEROES).filter_map(hero).collect(),
    })
}

/// A member by whom a room can be called.
pub fn hero(member: &Pdu) -> Option<Hero> {
    Some(Hero {
        user_id: OwnedUserId::try_from(member.key()?).ok()?,
        name: text_of(member, "displayname"),
        avatar: text_of(member, "avatar_url"),
    })
}

/// The types shown to those who are invited or knock (Client-Server API, "Stripped state").
const STRIPPED: [StateEventType; 7] = [
    StateEventType::RoomCreate,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomJoinRules,
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
];

/// Bytes of the content that stripped state has of an event: whoever is invited keeps it, and anybody may invite them.
const SHOWN_BYTES: usize = 8 << 10;

/// The stripped state that goes with the invite or knock `member`: the room's face, who invited, and `member` itself. What is
/// longer than any name or topic that people write is left out.
///
/// # Errors
/// When state cannot be read.
pub fn stripped_state(view: &impl RoomView, member: &Pdu) -> Result<Vec<RawJson>, Unreadable> {
    let shown = shown_state(view, member)?;
    let (own, face) = shown.split_last().ok_or_else(|| Unreadable("an invite without its event".to_owned()))?;
    let face = face.iter().filter(|event| event.body().get().len() <= SHOWN_BYTES);
    let stripped: Result<_, _> = face.chain([own]).map(stripped_event).collect();
    stripped.map_err(|error| Unreadable(error.to_string()))
}

/// The events that [`stripped_state`] tells of.
///
/// # Errors
/// When state cannot be read.
pub fn shown_state(view: &impl RoomView, member: &Pdu) -> Result<Vec<Pdu>, Unreadable> {
    let mut events = Vec::with_capacity(STRIPPED.len() + 2);
    for kind in STRIPPED {
        events.extend(view.state(&kind, "")?);
    }
    if member.key() != Some(member.from().as_str()) {
        events.extend(view.state(&StateEventType::RoomMember, member.from().as_str())?);
    }
    events.push(member.clone());
    Ok(events)
}

/// The text in one field of an event's content.
fn text_of(event: &Pdu, field: &str) -> Option<String> {
    take_text(&mut content(event)?, field)
}

fn take_text(content: &mut Value, field: &str) -> Option<String> {
    match content.get_mut(field)?.take() {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The room that the content of `m.room.create` names as the one before.
fn predecessor(creation: &Value) -> Option<OwnedRoomId> {
    creation.get("predecessor")?.get("room_id")?.as_str()?.try_into().ok()
}

fn child(event: &Pdu) -> Option<String> {
    #[derive(Deserialize)]
    struct Content {
        via: Vec<String>,
    }
    let via = content::<Content>(event)?.via;
    if via.is_empty() { None } else { event.key().map(str::to_owned) }
}

fn content<T: DeserializeOwned>(event: &Pdu) -> Option<T> {
    serde_json::from_str(event.body().get()).ok()
}
