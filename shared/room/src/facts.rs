//! What may be shown of a room to those who look for one, and to whom (Client-Server API, "Room summaries",
//! "Spaces"; MSC3266).

use ruma::{OwnedRoomId, OwnedServerName, RoomId, events::StateEventType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tern_model::{Bounded, Millis, Pdu, RawJson, RoomFacts};

use crate::{
    error::Unreadable,
    membership::allowed_rooms,
    summary::{MOST_CHILDREN, MOST_LOOKED_AT},
    view::RoomView,
};

/// Most bytes of all children that a space shows. With the rest it has to fit into a row of the database.
const MOST_BYTES: usize = 512 * 1024;

/// Most servers by which a child can be joined, and most bytes of the name of each.
const MOST_SERVERS: usize = 20;
const MOST_SERVER_BYTES: usize = 261;

/// Most bytes of one text that is shown.
type Text = Bounded<8_192>;

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
pub fn facts(
    view: &impl RoomView,
    joined: u64,
    children: impl IntoIterator<Item = Pdu>,
) -> Result<RoomFacts, Unreadable> {
    let text = |kind: StateEventType, field: &str| -> Result<Option<String>, Unreadable> {
        let event = view.state(&kind, "")?;
        let text = event.and_then(|event| text_of(&event, field)).filter(|text| !text.is_empty());
        Ok(text.map(|text| Text::cut(text).into_string()))
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
        children: shown_children(children),
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
    /// Servers by which it can be joined.
    pub via: Vec<OwnedServerName>,
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
        #[serde(default)]
        via: Vec<String>,
    }
    let read = |event: &RawJson| {
        let Event { state_key, origin_server_ts, content } = event.read().ok()?;
        let order = content.order.filter(|order| is_order(order));
        let via = content.via.into_iter().filter_map(|server| OwnedServerName::try_from(server).ok()).collect();
        Some(Child { room_id: state_key, suggested: content.suggested, via, order, ts: origin_server_ts })
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

/// The children that name a server, as many as fit.
fn shown_children(children: impl IntoIterator<Item = Pdu>) -> Vec<RawJson> {
    let mut bytes = 0;
    let shown = children.into_iter().take(MOST_LOOKED_AT).filter_map(|event| child(&event));
    let fits = |child: &RawJson| {
        bytes += child.text().len();
        bytes <= MOST_BYTES
    };
    shown.take(MOST_CHILDREN).take_while(fits).collect()
}

/// A child event with `origin_server_ts` and what the specification knows of its content; nothing when it names no server
/// to join by, which means it was removed.
fn child(event: &Pdu) -> Option<RawJson> {
    #[derive(Serialize)]
    struct Stripped<'a> {
        content: ChildContent,
        origin_server_ts: Millis,
        sender: &'a str,
        state_key: &'a str,
        #[serde(rename = "type")]
        kind: &'a str,
    }
    let state_key = RoomId::parse(event.key()?).ok()?;
    let stripped = Stripped {
        content: child_content(event)?,
        origin_server_ts: event.ts(),
        sender: event.from().as_str(),
        state_key: state_key.as_str(),
        kind: "m.space.child",
    };
    RawJson::from_value(&stripped).ok()
}

/// What is shown of the content of a child event (Client-Server API, `m.space.child`).
#[derive(Serialize)]
struct ChildContent {
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested: Option<bool>,
    via: Vec<String>,
}

fn child_content(event: &Pdu) -> Option<ChildContent> {
    #[derive(Deserialize)]
    struct Content {
        order: Option<Value>,
        suggested: Option<Value>,
        via: Vec<String>,
    }
    let Content { order, suggested, mut via } = serde_json::from_str(event.body().get()).ok()?;
    via.retain(|server| server.len() <= MOST_SERVER_BYTES);
    via.truncate(MOST_SERVERS);
    let order = order.as_ref().and_then(Value::as_str).filter(|order| is_order(order)).map(str::to_owned);
    (!via.is_empty()).then(|| ChildContent { order, suggested: suggested.as_ref().and_then(Value::as_bool), via })
}

fn text_of(event: &Pdu, field: &str) -> Option<String> {
    let mut content: Value = serde_json::from_str(event.body().get()).ok()?;
    match content.get_mut(field)?.take() {
        Value::String(text) => Some(text),
        _ => None,
    }
}
