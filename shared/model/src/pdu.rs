//! An event with its header parsed and its JSON untouched.

use std::rc::Rc;

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
    events::TimelineEventType,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Millis, RawJson};

/// A persistent data unit (Server-Server API, "PDUs"): the fields that rules read, and the whole as raw JSON. Cheap to
/// clone. Event and auth references are lists of ids, as in every room version from 3 on.
#[derive(Clone, Debug)]
pub struct Pdu(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    event_id: OwnedEventId,
    header: Header,
    raw: RawJson,
    rejected: bool,
}

#[derive(Debug, Deserialize)]
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
    #[serde(default)]
    prev_events: Vec<OwnedEventId>,
    #[serde(default)]
    auth_events: Vec<OwnedEventId>,
    #[serde(default)]
    depth: UInt,
    #[serde(default)]
    redacts: Option<OwnedEventId>,
}

impl Pdu {
    /// Reads the header of `raw`. For room versions whose `m.room.create` event id is the room id, pass the room so that
    /// the event knows where it belongs.
    ///
    /// # Errors
    /// The parser's error when a header field is missing or has the wrong type.
    pub fn parse(event_id: OwnedEventId, raw: RawJson) -> Result<Self, serde_json::Error> {
        let header = raw.read()?;
        Ok(Self(Rc::new(Inner { event_id, header, raw, rejected: false })))
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
