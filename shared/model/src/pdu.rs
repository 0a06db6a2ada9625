//! An event with its header parsed and its JSON untouched.

use std::{fmt, rc::Rc};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
    events::TimelineEventType,
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{Millis, RawJson};

/// A persistent data unit (Server-Server API, "PDUs"): the fields that rules read, and the whole as raw JSON. Cheap to
/// clone. References to other events are kept as ids, whichever form the room version gives them.
#[derive(Clone, Debug)]
pub struct Pdu(Rc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    event_id: OwnedEventId,
    header: Header,
    raw: RawJson,
    rejected: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Header {
    #[serde(default)]
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    #[serde(default)]
    state_key: Option<String>,
    content: Box<RawValue>,
    origin_server_ts: UInt,
    #[serde(default, deserialize_with = "references")]
    prev_events: Vec<OwnedEventId>,
    #[serde(default, deserialize_with = "references")]
    auth_events: Vec<OwnedEventId>,
    #[serde(default)]
    depth: UInt,
    #[serde(default)]
    redacts: Option<OwnedEventId>,
}

/// A reference to an event: its id, or in room versions 1 and 2 a pair of the id and hashes (room version 3, "Event
/// format"). The hashes repeat what the id's signature already binds.
struct Reference(OwnedEventId);

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReferenceVisitor)
    }
}

struct ReferenceVisitor;

impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = Reference;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event id, or a pair of one and its hashes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Reference, E> {
        OwnedEventId::try_from(text).map(Reference).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Reference, A::Error> {
        let id = pair.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        while pair.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Reference(id))
    }
}

fn references<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OwnedEventId>, D::Error> {
    let references = Vec::<Reference>::deserialize(deserializer)?;
    Ok(references.into_iter().map(|Reference(id)| id).collect())
}

impl Pdu {
    /// Reads the header of `raw`.
    ///
    /// # Errors
    /// The parser's error when a header field is missing or has the wrong type.
    pub fn parse(event_id: OwnedEventId, raw: RawJson) -> Result<Self, serde_json::Error> {
        let header = raw.read()?;
        Ok(Self(Rc::new(Inner { event_id, header, raw, rejected: false })))
    }

    /// The same event, marked as rejected by the checks on receipt: whatever stands on it is rejected, too.
    #[must_use]
    pub fn into_rejected(self) -> Self {
        let Inner { event_id, header, raw, .. } = Rc::unwrap_or_clone(self.0);
        Self(Rc::new(Inner { event_id, header, raw, rejected: true }))
    }

    /// It was rejected by the checks on receipt.
    pub fn is_rejected(&self) -> bool {
        self.0.rejected
    }

    /// The event's id.
    pub fn id(&self) -> &EventId {
        &self.0.event_id
    }

    /// The room, absent in a room version 12 create event.
    pub fn room(&self) -> Option<&RoomId> {
        self.0.header.room_id.as_deref()
    }

    /// `sender`.
    pub fn from(&self) -> &UserId {
        &self.0.header.sender
    }

    /// `type`.
    pub fn kind(&self) -> &TimelineEventType {
        &self.0.header.kind
    }

    /// `state_key`, for state events.
    pub fn key(&self) -> Option<&str> {
        self.0.header.state_key.as_deref()
    }

    /// `content` as raw JSON.
    pub fn body(&self) -> &RawValue {
        &self.0.header.content
    }

    /// `origin_server_ts`.
    pub fn ts(&self) -> Millis {
        Millis(self.0.header.origin_server_ts.into())
    }

    /// `depth`.
    pub fn depth(&self) -> u64 {
        self.0.header.depth.into()
    }

    /// `prev_events`.
    pub fn prev(&self) -> &[OwnedEventId] {
        &self.0.header.prev_events
    }

    /// `auth_events`.
    pub fn auth(&self) -> &[OwnedEventId] {
        &self.0.header.auth_events
    }

    /// Top-level `redacts`, as room versions before 11 have it.
    pub fn redacts_top_level(&self) -> Option<&EventId> {
        self.0.header.redacts.as_deref()
    }

    /// The whole event as raw JSON.
    pub fn raw(&self) -> &RawJson {
        &self.0.raw
    }
}

impl ruma::state_res::Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.0.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.room()
    }

    fn sender(&self) -> &UserId {
        self.from()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(self.0.header.origin_server_ts)
    }

    fn event_type(&self) -> &TimelineEventType {
        self.kind()
    }

    fn content(&self) -> &RawValue {
        self.body()
    }

    fn state_key(&self) -> Option<&str> {
        self.key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.header.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.header.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.0.header.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.0.rejected
    }
}
