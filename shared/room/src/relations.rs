//! Events that relate to others, and what is told of them with the event they relate to (Client-Server API,
//! "Forming relationships between events" and "Aggregations of child events").

use ruma::OwnedEventId;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tern_model::{MatrixError, RawJson, StoredEvent};

/// `m.relates_to` of an event, as far as it is well-formed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Relation {
    /// `rel_type`.
    pub rel_type: String,
    /// The event related to.
    pub event_id: OwnedEventId,
    /// `key` of an annotation.
    #[serde(default)]
    pub key: Option<String>,
}

#[derive(Deserialize)]
struct Pdu {
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: Relation,
}

impl Relation {
    /// The relation that an event's content states, if it does.
    pub fn of_content(content: &RawJson) -> Option<Self> {
        content.read::<Content>().ok().map(|content| content.relates_to)
    }

    /// The relation that a stored event states, if it does.
    pub fn of(event: &StoredEvent) -> Option<Self> {
        event.pdu.read::<Pdu>().ok().map(|pdu| pdu.content.relates_to)
    }
}

/// May be told of with what relates to it: state events, redacted events, and events that are themselves an edit or an
/// annotation may not.
pub fn aggregates(event: &StoredEvent) -> bool {
    let subordinate = |relation: Relation| matches!(relation.rel_type.as_str(), "m.replace" | "m.annotation");
    event.state_key.is_none() && !is_redacted(event) && !Relation::of(event).is_some_and(subordinate)
}

/// `edit` is a valid replacement of `target` ("Validity of replacement events"): the same sender and type, neither is
/// state, the target is no replacement itself, and there is new content (which encryption hides).
pub fn replaces(target: &StoredEvent, edit: &StoredEvent) -> bool {
    let relation = Relation::of(edit);
    relation.is_some_and(|relation| relation.rel_type == "m.replace" && relation.event_id == target.event_id)
        && edit.sender == target.sender
        && edit.kind == target.kind
        && edit.state_key.is_none()
        && aggregates(target)
        && (edit.kind == "m.room.encrypted" || has_new_content(edit))
}

/// The newer of two edits: the later by its own clock, and of equally late ones the one with the greater id.
pub fn newer_edit(a: StoredEvent, b: StoredEvent) -> StoredEvent {
    if (a.ts, &a.event_id) < (b.ts, &b.event_id) { b } else { a }
}

/// Why a draft's relation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRelation {
    /// A thread on an event that relates to another ("Validation of `m.thread` relationships").
    NestedThread,
    /// The sender has annotated the event so already ("Avoiding duplicate annotations").
    Repeated,
}

impl From<BadRelation> for MatrixError {
    fn from(bad: BadRelation) -> Self {
        match bad {
            BadRelation::NestedThread => {
                Self::new(400, "M_UNKNOWN", "A thread cannot start from an event with a relation")
            }
            BadRelation::Repeated => {
                Self::new(400, "M_DUPLICATE_ANNOTATION", "You have annotated this event so already")
            }
        }
    }
}

/// Whether `relation` may be stated about `target`. `annotated`: the sender has stated the same before.
///
/// # Errors
/// What is wrong with it.
pub fn check(relation: &Relation, target: &StoredEvent, annotated: bool) -> Result<(), BadRelation> {
    if relation.rel_type == "m.thread" && Relation::of(target).is_some() {
        return Err(BadRelation::NestedThread);
    }
    if annotated { Err(BadRelation::Repeated) } else { Ok(()) }
}

/// What is told with an event (`unsigned.m.relations`), its parts in client form.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Aggregation {
    /// The newest edit.
    #[serde(rename = "m.replace", skip_serializing_if = "Option::is_none")]
    pub edit: Option<RawJson>,
    /// Its thread.
    #[serde(rename = "m.thread", skip_serializing_if = "Option::is_none")]
    pub thread: Option<Thread>,
    /// What refers to it.
    #[serde(rename = "m.reference", skip_serializing_if = "Option::is_none")]
    pub references: Option<References>,
}

/// A thread in a few words.
#[derive(Clone, Debug, Serialize)]
pub struct Thread {
    /// Its newest event.
    pub latest_event: RawJson,
    /// How many events it has, its root not counted.
    pub count: u64,
    /// The reader sent one of them, or the root.
    pub current_user_participated: bool,
}

/// The events that refer to one.
#[derive(Clone, Debug, Serialize)]
pub struct References {
    chunk: Vec<Reference>,
}

#[derive(Clone, Debug, Serialize)]
struct Reference {
    event_id: OwnedEventId,
}

impl References {
    /// Of these events; nothing when there are none.
    pub fn of(events: impl IntoIterator<Item = OwnedEventId>) -> Option<Self> {
        let chunk: Vec<_> = events.into_iter().map(|event_id| Reference { event_id }).collect();
        if chunk.is_empty() { None } else { Some(Self { chunk }) }
    }
}

impl Aggregation {
    /// As JSON; nothing when there is nothing to tell.
    ///
    /// # Errors
    /// The serialiser's error.
    pub fn to_json(&self) -> Result<Option<RawJson>, serde_json::Error> {
        let empty = self.edit.is_none() && self.thread.is_none() && self.references.is_none();
        if empty { Ok(None) } else { RawJson::from_value(self).map(Some) }
    }
}

pub(crate) fn is_redacted(event: &StoredEvent) -> bool {
    #[derive(Deserialize)]
    struct Unsigned {
        #[serde(rename = "redacted_because")]
        _because: IgnoredAny,
    }
    event.unsigned.as_ref().is_some_and(|unsigned| unsigned.read::<Unsigned>().is_ok())
}

fn has_new_content(edit: &StoredEvent) -> bool {
    #[derive(Deserialize)]
    struct Pdu {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.new_content")]
        new_content: RawJson,
    }
    edit.pdu.read::<Pdu>().is_ok_and(|pdu| pdu.content.new_content.text().starts_with('{'))
}
