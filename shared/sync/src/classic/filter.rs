//! Filters of `GET /sync` (Client-Server API, "Filtering").

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use tern_model::{MatrixError, NoticeEvent, RawJson};

use super::relations::{RELATIONS, RelationFilter};

/// Timeline events per room when the filter does not say.
const LIMIT: u32 = 10;
/// Most timeline events per room.
const MOST_EVENTS: u32 = 100;

/// A filter.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    /// Of each event only these properties, as dotted paths.
    #[serde(default)]
    pub event_fields: Option<Vec<String>>,
    /// Global account data.
    #[serde(default)]
    pub account_data: EventFilter,
    /// Presence.
    #[serde(default)]
    pub presence: EventFilter,
    /// Rooms.
    #[serde(default)]
    pub room: RoomFilter,
}

/// Which events to include.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct EventFilter {
    /// Most events.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only these senders.
    #[serde(default)]
    pub senders: Option<BTreeSet<String>>,
    /// Not these senders.
    #[serde(default)]
    pub not_senders: BTreeSet<String>,
    /// Only these types; `*` stands for any text.
    #[serde(default)]
    pub types: Option<Vec<String>>,
    /// Not these types.
    #[serde(default)]
    pub not_types: Vec<String>,
}

/// Which rooms, and what of them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RoomFilter {
    /// Only these rooms.
    #[serde(default)]
    pub rooms: Option<BTreeSet<String>>,
    /// Not these rooms.
    #[serde(default)]
    pub not_rooms: BTreeSet<String>,
    /// Rooms the user left are included in an initial sync.
    #[serde(default)]
    pub include_leave: bool,
    /// Typing and receipts.
    #[serde(default)]
    pub ephemeral: RoomEventFilter,
    /// State.
    #[serde(default)]
    pub state: RoomEventFilter,
    /// Timeline.
    #[serde(default)]
    pub timeline: RoomEventFilter,
    /// Rooms' account data.
    #[serde(default)]
    pub account_data: RoomEventFilter,
}

/// What a filter lets through of one room: each section's rules, `None` where the section leaves the room out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfRoom<'a> {
    pub(crate) timeline: Option<&'a RoomEventFilter>,
    pub(crate) state: Option<&'a RoomEventFilter>,
    pub(crate) account_data: Option<&'a RoomEventFilter>,
    pub(crate) ephemeral: Option<&'a RoomEventFilter>,
}

/// Which of a room's events to include.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RoomEventFilter {
    /// Types, senders and limit.
    #[serde(flatten)]
    pub events: EventFilter,
    /// Only in these rooms.
    #[serde(default)]
    pub rooms: Option<BTreeSet<String>>,
    /// Not in these rooms.
    #[serde(default)]
    pub not_rooms: BTreeSet<String>,
    /// Members come with what they send.
    #[serde(default)]
    pub lazy_load_members: bool,
    /// Unread counts are given per thread.
    #[serde(default)]
    pub unread_thread_notifications: bool,
    /// Only events with, or without, a `url` in their content.
    #[serde(default)]
    pub contains_url: Option<bool>,
    /// By how the event relates to another.
    #[serde(flatten)]
    pub relations: RelationFilter,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// `M_BAD_JSON` when the shape is wrong, with the name of the property.
    pub fn parse(raw: &RawJson) -> Result<Self, MatrixError> {
        let value: Value = raw.read().map_err(|error| MatrixError::bad_json(error.to_string()))?;
        if let Some(found) = fault(&value, "filter") {
            return Err(MatrixError::bad_json(found));
        }
        Self::deserialize(value).map_err(|error| MatrixError::bad_json(error.to_string()))
    }
}

impl EventFilter {
    /// The type passes.
    pub fn allows_kind(&self, kind: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| is_like(pattern, kind));
        self.types.as_deref().is_none_or(any) && !any(&self.not_types)
    }

    /// The sender passes.
    pub fn allows_sender(&self, sender: &str) -> bool {
        self.senders.as_ref().is_none_or(|senders| senders.contains(sender)) && !self.not_senders.contains(sender)
    }
}

impl RoomFilter {
    /// What passes of a room; `None` when it is left out altogether.
    pub(crate) fn of_room(&self, room_id: &str) -> Option<OfRoom<'_>> {
        let passes = self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room_id));
        (passes && !self.not_rooms.contains(room_id)).then(|| OfRoom {
            timeline: self.timeline.of_room(room_id),
            state: self.state.of_room(room_id),
            account_data: self.account_data.of_room(room_id),
            ephemeral: self.ephemeral.of_room(room_id),
        })
    }
}

impl OfRoom<'_> {
    /// Most timeline events.
    pub(crate) fn limit(&self) -> u32 {
        self.timeline.map_or(LIMIT, RoomEventFilter::limit)
    }

    /// Members come with what they send.
    pub(crate) fn lazy_members(&self) -> bool {
        self.state.is_some_and(|state| state.lazy_load_members)
    }
}

impl RoomEventFilter {
    /// The type passes.
    pub fn allows_kind(&self, kind: &str) -> bool {
        self.events.allows_kind(kind)
    }

    /// Itself, for a room that passes.
    fn of_room(&self, room_id: &str) -> Option<&Self> {
        let passes = self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room_id));
        (passes && !self.not_rooms.contains(room_id)).then_some(self)
    }

    /// The event passes.
    pub fn allows(&self, event: &NoticeEvent) -> bool {
        self.events.allows_kind(&event.kind)
            && self.events.allows_sender(event.sender.as_str())
            && self.contains_url.is_none_or(|wanted| wanted == has_url(&event.client))
            && self.relations.allows(&event.client)
    }

    /// Every event passes.
    pub(crate) fn allows_all(&self) -> bool {
        let EventFilter { senders, not_senders, types, not_types, .. } = &self.events;
        senders.is_none()
            && not_senders.is_empty()
            && types.is_none()
            && not_types.is_empty()
            && self.contains_url.is_none()
            && self.relations.allows_all()
    }

    /// Most events.
    pub(crate) fn limit(&self) -> u32 {
        self.events.limit.unwrap_or(LIMIT).min(MOST_EVENTS)
    }
}

/// Properties that may be null, which is to leave them out.
const OPTIONAL: [&str; 8] =
    ["limit", "senders", "types", "rooms", "event_fields", "contains_url", "rel_types", "org.matrix.msc3874.rel_types"];

/// The property that has the wrong type, and which it should have. `serde` says where in the text it stopped and not in
/// which property, and takes a list for an object.
fn fault(value: &Value, name: &str) -> Option<String> {
    let Value::Object(object) = value else { return Some(format!("{name} is not an object")) };
    object.iter().find_map(|(key, value)| {
        let name = format!("{name}.{key}");
        let is_texts = || value.as_array().is_some_and(|array| array.iter().all(Value::is_string));
        let (fine, kind) = match key.as_str() {
            "account_data" | "presence" | "room" | "ephemeral" | "state" | "timeline" => return fault(value, &name),
            "limit" => (value.as_u64().is_some_and(|limit| u32::try_from(limit).is_ok()), "a count"),
            "lazy_load_members" | "unread_thread_notifications" | "contains_url" | "include_leave" => {
                (value.is_boolean(), "true or false")
            }
            "senders" | "not_senders" | "types" | "not_types" | "rooms" | "not_rooms" | "event_fields" => {
                (is_texts(), "a list of strings")
            }
            key if RELATIONS.contains(&key) => (is_texts(), "a list of strings"),
            _ => (true, ""),
        };
        let absent = value.is_null() && OPTIONAL.contains(&key.as_str());
        (!fine && !absent).then(|| format!("{name} is not {kind}"))
    })
}

/// Whether `text` has the form of `pattern`, in which `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
        rest = after;
    }
    text.ends_with(rest)
}

fn has_url(event: &RawJson) -> bool {
    #[derive(Deserialize)]
    struct Event {
        content: serde_json::Map<String, Value>,
    }
    event.read::<Event>().is_ok_and(|event| event.content.get("url").is_some_and(Value::is_string))
}

#[cfg(test)]
mod tests {
    use tern_model::RawJson;

    use super::{Filter, is_like};

    #[test]
    fn what_no_sync_can_use_is_refused_by_name() {
        for (filter, named) in [
            (r#"{"room":{"timeline":{"limit":"ten"}}}"#, "filter.room.timeline.limit is not a count"),
            (r#"{"room":{"timeline":{"limit":-1}}}"#, "filter.room.timeline.limit is not a count"),
            (r#"{"room":{"state":{"types":"m.room.member"}}}"#, "filter.room.state.types is not a list of strings"),
            (
                r#"{"room":{"state":{"lazy_load_members":1}}}"#,
                "filter.room.state.lazy_load_members is not true or false",
            ),
            (r#"{"room":{"rooms":[1]}}"#, "filter.room.rooms is not a list of strings"),
            (
                r#"{"room":{"timeline":{"rel_types":"m.thread"}}}"#,
                "filter.room.timeline.rel_types is not a list of strings",
            ),
            (r#"{"presence":[]}"#, "filter.presence is not an object"),
            (r#"{"event_fields":{}}"#, "filter.event_fields is not a list of strings"),
        ] {
            let refused = RawJson::parse(filter.to_owned()).ok().and_then(|raw| Filter::parse(&raw).err());
            let (code, text) = refused.map(|error| (error.errcode, error.message)).unwrap_or_default();
            assert_eq!((code.as_ref(), text.as_ref()), ("M_BAD_JSON", named), "{filter}");
        }
        for filter in ["{}", r#"{"room":{"timeline":{"limit":0,"types":null}},"unknown":1}"#] {
            assert!(RawJson::parse(filter.to_owned()).is_ok_and(|raw| Filter::parse(&raw).is_ok()), "{filter}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, like) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.*", "m.room.message", true),
            ("m.*.message", "m.room.message", true),
            ("*", "anything", true),
            ("m.*x*e", "m.room.exe", true),
            ("m.room", "m.room.message", false),
            ("m.*.x", "m.room.message", false),
            ("aa*a", "aa", false),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
    }
}
