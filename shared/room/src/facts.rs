//! What may be shown of a room to those who look for one, and to whom (Client-Server API, "Room summaries",
//! "Spaces"; MSC3266).

use ruma::{OwnedRoomId, RoomId, events::StateEventType};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tern_model::{Millis, Pdu, RawJson, RoomFacts};

use crate::{error::Unreadable, membership::allowed_rooms, view::RoomView};

/// Most children that a space shows.
const MOST_CHILDREN: usize = 1_000;

/// Event types that change what is shown.
pub fn affects(kind: &str) -> bool {
    matches!(
        kind,
        "m.room.create"
            | "m.room.name"
            | "m.room.topic"
            | "m.room.avatar"
            | "m.room.canonical_alias"
            | "m.room.join_rules"
            | "m.room.guest_access"
            | "m.room.history_visibility"
            | "m.room.encryption"
            | "m.room.member"
            | "m.room.redaction"
            | "m.space.child"
    )
}

/// What is shown of a room with `joined` members and these `m.space.child` events.
///
/// # Errors
/// When state cannot be read. Content of a wrong shape is as good as absent.
pub fn facts(view: &impl RoomView, joined: u64, children: &[Pdu]) -> Result<RoomFacts, Unreadable> {
    let text = |kind: StateEventType, field: &str| -> Result<Option<String>, Unreadable> {
        let event = view.state(&kind, "")?;
        Ok(event.and_then(|event| text_of(&event, field)).filter(|text| !text.is_empty()))
    };
    let is =
        |kind: StateEventType, field: &str, wanted: &str| text(kind, field).map(|text| text.as_deref() == Some(wanted));
    Ok(RoomFacts {
        name: text(StateEventType::RoomName, "name")?,
        topic: text(StateEventType::RoomTopic, "topic")?,
        avatar_url: text(StateEventType::RoomAvatar, "url")?,
        canonical_alias: text(StateEventType::RoomCanonicalAlias, "alias")?,
        room_type: text(StateEventType::RoomCreate, "type")?,
        join_rule: text(StateEventType::RoomJoinRules, "join_rule")?.or_else(|| Some("invite".to_owned())),
        allowed_room_ids: allowed_rooms(view)?,
        encryption: text(StateEventType::RoomEncryption, "algorithm")?,
        room_version: view.version().id.to_owned(),
        num_joined_members: joined,
        guest_can_join: is(StateEventType::RoomGuestAccess, "guest_access", "can_join")?,
        world_readable: is(StateEventType::RoomHistoryVisibility, "history_visibility", "world_readable")?,
        children: children.iter().filter_map(child).take(MOST_CHILDREN).collect(),
    })
}

/// Somebody with this membership (if any) may see what a room shows: members and the invited, and everybody who could
/// join, knock or read without being asked in. `is_joined` tells of other rooms, for restricted ones.
pub fn may_preview(facts: &RoomFacts, membership: Option<&str>, is_joined: impl Fn(&RoomId) -> bool) -> bool {
    match membership {
        Some("join" | "invite") => return true,
        Some("ban") => return facts.world_readable,
        _ => {}
    }
    let restricted = |rooms: &[OwnedRoomId]| rooms.iter().any(|room_id| is_joined(room_id));
    facts.world_readable
        || match facts.join_rule.as_deref() {
            Some("public" | "knock" | "knock_restricted") => true,
            Some("restricted") => restricted(&facts.allowed_room_ids),
            _ => false,
        }
}

/// A room in a space, as a client sorts it ("Ordering of children within a space").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The space's owner thinks it worth a visit.
    pub suggested: bool,
    order: Option<String>,
    ts: Millis,
}

/// The children of a space, first first.
pub fn children(facts: &RoomFacts) -> Vec<Child> {
    #[derive(Deserialize)]
    struct Event {
        state_key: OwnedRoomId,
        origin_server_ts: Millis,
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        suggested: bool,
        #[serde(default)]
        order: Option<String>,
    }
    let read = |event: &RawJson| {
        let Event { state_key, origin_server_ts, content } = event.read().ok()?;
        let order = content.order.filter(|order| is_order(order));
        Some(Child { room_id: state_key, suggested: content.suggested, order, ts: origin_server_ts })
    };
    let mut children: Vec<Child> = facts.children.iter().filter_map(read).collect();
    // Those without an order come last.
    children.sort_by(|a, b| {
        (a.order.is_none(), &a.order, a.ts, &a.room_id).cmp(&(b.order.is_none(), &b.order, b.ts, &b.room_id))
    });
    children
}

fn is_order(order: &str) -> bool {
    (1..=50).contains(&order.len()) && order.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// A child event with `origin_server_ts`; nothing when it names no server to join by, which means it was removed.
fn child(event: &Pdu) -> Option<RawJson> {
    #[derive(Deserialize)]
    struct Content {
        via: Vec<String>,
    }
    #[derive(Serialize)]
    struct Stripped<'a> {
        content: &'a RawValue,
        origin_server_ts: Millis,
        sender: &'a str,
        state_key: &'a str,
        #[serde(rename = "type")]
        kind: &'a str,
    }
    let content: Content = serde_json::from_str(event.body().get()).ok()?;
    let (sender, state_key) = (event.from().as_str(), RoomId::parse(event.key()?).ok()?);
    let stripped = Stripped {
        content: event.body(),
        origin_server_ts: event.ts(),
        sender,
        state_key: state_key.as_str(),
        kind: "m.space.child",
    };
    RawJson::from_value(&stripped).ok().filter(|_| !content.via.is_empty())
}

fn text_of(event: &Pdu, field: &str) -> Option<String> {
    let mut content: serde_json::Value = serde_json::from_str(event.body().get()).ok()?;
    match content.get_mut(field)?.take() {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    }
}
