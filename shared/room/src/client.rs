//! Events as clients see them, spliced from stored text (Client-Server API, "Room event format").

use std::borrow::Cow;

use ruma::{OwnedEventId, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tern_model::{Millis, Pdu, RawJson, StoredEvent};

use crate::{unsigned, version::Version};

/// What of an event's client form depends on who asks and where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form<'a> {
    /// With `room_id`, as everywhere but in sync.
    pub room_id: Option<&'a RoomId>,
    /// With `unsigned.transaction_id`, for the device that sent it.
    pub transaction_id: Option<&'a str>,
    /// With `unsigned.membership`: the asking user's membership at the event.
    pub membership: Option<&'a str>,
    /// With `unsigned.m.relations`: what others have said about it.
    pub relations: Option<&'a RawJson>,
}

/// The parts of a stored PDU that its columns do not hold.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(default)]
    redacts: Option<OwnedEventId>,
    /// Also of an event that did not become state, and has none in its column.
    #[serde(borrow, default)]
    state_key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msc4354_sticky: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct ClientEvent<'a> {
    content: &'a RawValue,
    event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    msc4354_sticky: Option<&'a RawValue>,
    origin_server_ts: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a RoomId>,
    sender: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned: Option<RawJson>,
}

/// The client form of a stored event. A redaction names its target both in `content` and beside it, whatever the room
/// version, for older and newer clients (room version 11, "Moving the `redacts` property").
///
/// # Errors
/// The parser's error when the stored PDU is damaged.
pub fn client_event(version: &Version, event: &StoredEvent, form: Form<'_>) -> Result<RawJson, serde_json::Error> {
    let body: Body<'_> = event.pdu.read()?;
    let redaction = event.kind == "m.room.redaction";
    let target = if redaction { redaction_target(version, &body) } else { None };
    let content = match &target {
        Some(target) if !version.redacts_in_content() => Cow::Owned(with_redacts(body.content, target)?),
        _ => Cow::Borrowed(body.content),
    };
    let shown = event.unsigned.as_ref().filter(|_| redaction).and_then(unsigned::shown);
    let lost = body.state_key.filter(|_| event.state_key.is_none());
    let lost = lost.map(|key| serde_json::from_str::<String>(key.get())).transpose()?;
    RawJson::from_value(&ClientEvent {
        content: &content,
        event_id: event.event_id.as_str(),
        msc4354_sticky: body.msc4354_sticky,
        origin_server_ts: event.ts,
        redacts: target.as_ref().map(|target| target.as_str()),
        room_id: form.room_id,
        sender: &event.sender,
        state_key: event.state_key.as_deref().or(lost.as_deref()),
        kind: &event.kind,
        unsigned: with_form(shown.as_ref().or(event.unsigned.as_ref()), form),
    })
}

/// An event in stripped form: `sender`, `type`, `state_key` and `content` only (Client-Server API, "Stripped state").
///
/// # Errors
/// The serialiser's error.
pub fn stripped_event(pdu: &Pdu) -> Result<RawJson, serde_json::Error> {
    #[derive(Serialize)]
    struct Stripped<'a> {
        content: &'a RawValue,
        sender: &'a str,
        state_key: &'a str,
        #[serde(rename = "type")]
        kind: String,
    }
    RawJson::from_value(&Stripped {
        content: pdu.body(),
        sender: pdu.from().as_str(),
        state_key: pdu.key().unwrap_or_default(),
        kind: pdu.kind().to_string(),
    })
}

/// The `membership` of a member event in client form, unless it has none.
pub fn membership_of(event: &RawJson) -> Option<String> {
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    #[derive(Deserialize)]
    struct Event {
        content: Content,
    }
    Some(event.read::<Event>().ok()?.content.membership)
}

/// The client form `event` with `unsigned.transaction_id` added.
pub fn with_transaction_id(event: &RawJson, transaction_id: &str) -> RawJson {
    let Some(id) = json_string(transaction_id) else { return event.clone() };
    with_unsigned(event, "transaction_id", &id)
}

/// The client form `event` with `unsigned.membership` added: the reader's membership at the event.
pub fn with_membership(event: &RawJson, membership: &str) -> RawJson {
    let Some(membership) = json_string(membership) else { return event.clone() };
    with_unsigned(event, "membership", &membership)
}

/// The client form `event` with `unsigned.m.relations` added.
pub fn with_relations(event: &RawJson, relations: &RawJson) -> RawJson {
    with_unsigned(event, "m.relations", relations.text())
}

/// The client form `event`, an invite, with `unsigned.invite_room_state` added: what the invited user is shown of the room.
pub fn with_invite_state(event: &RawJson, stripped: &[RawJson]) -> RawJson {
    let state = RawJson::from_value(&stripped);
    state.map_or_else(|_| event.clone(), |state| with_unsigned(event, "invite_room_state", state.text()))
}

/// The client form `event` with a member of `unsigned` that is not there yet.
fn with_unsigned(event: &RawJson, name: &str, value: &str) -> RawJson {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow, default)]
        unsigned: Option<&'a RawValue>,
    }
    let unsigned = event.read::<Event<'_>>().ok().and_then(|event| event.unsigned);
    let Some(unsigned) = unsigned else {
        return with_member(event.text(), "unsigned", &format!("{{\"{name}\":{value}}}"))
            .unwrap_or_else(|| event.clone());
    };
    splice(event.text(), unsigned.get(), name, value).unwrap_or_else(|| event.clone())
}

/// The client form `event`, made without `room_id`, with it.
pub fn with_room_id(event: &RawJson, room_id: &RoomId) -> RawJson {
    let value = json_string(room_id.as_str());
    value.and_then(|id| with_member(event.text(), "room_id", &id)).unwrap_or_else(|| event.clone())
}

fn redaction_target(version: &Version, body: &Body<'_>) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Content {
        redacts: Option<OwnedEventId>,
    }
    if version.redacts_in_content() {
        serde_json::from_str::<Content>(body.content.get()).ok()?.redacts
    } else {
        body.redacts.clone()
    }
}

fn with_redacts(content: &RawValue, target: &OwnedEventId) -> Result<Box<RawValue>, serde_json::Error> {
    let mut content: serde_json::Map<String, serde_json::Value> = serde_json::from_str(content.get())?;
    content.insert("redacts".to_owned(), target.as_str().into());
    serde_json::value::to_raw_value(&content)
}

/// `unsigned` as stored, with what the form adds.
fn with_form(stored: Option<&RawJson>, form: Form<'_>) -> Option<RawJson> {
    let mut unsigned = stored.cloned();
    for (name, value) in [("membership", form.membership), ("transaction_id", form.transaction_id)] {
        if let Some(value) = value.and_then(json_string) {
            let text = unsigned.as_ref().map_or("{}", RawJson::text);
            unsigned = with_member(text, name, &value).or(unsigned);
        }
    }
    if let Some(relations) = form.relations {
        let text = unsigned.as_ref().map_or("{}", RawJson::text);
        unsigned = with_member(text, "m.relations", relations.text()).or(unsigned);
    }
    unsigned.filter(|unsigned| unsigned.text() != "{}")
}

fn json_string(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}

/// The object `text` with one more member at its end; the member must not be there yet.
fn with_member(text: &str, name: &str, value: &str) -> Option<RawJson> {
    let open = text.trim_end().strip_suffix('}')?.trim_end();
    let comma = if open.ends_with('{') { "" } else { "," };
    RawJson::parse(format!("{open}{comma}\"{name}\":{value}}}")).ok()
}

/// `text` with a member added to the object `inner`, which is a part of it.
fn splice(text: &str, inner: &str, name: &str, value: &str) -> Option<RawJson> {
    let start = (inner.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let (head, tail) = (text.get(..start)?, text.get(start + inner.len()..)?);
    let inner = with_member(inner, name, value)?;
    RawJson::parse(format!("{head}{}{tail}", inner.text())).ok()
}
