//! One event on its way into an answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ruma::{DeviceId, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tern_model::{NoticeEvent, RawJson, RoomSeq, StreamPos};

use crate::json::push_text;
use crate::state::MEMBER;
use crate::view::{Membership, RoomView, Sticky, UserView};

/// The event's JSON for `device_id`: with its transaction id if that device sent it (Client-Server API, "Transaction
/// identifiers"), and with what is said about it, if it is among `aggregated`. The rest of the text is copied as it is.
pub(crate) fn client_json<'a>(
    event: &'a NoticeEvent,
    device_id: &DeviceId,
    aggregated: &'a BTreeMap<RoomSeq, RawJson>,
) -> Cow<'a, str> {
    let text = aggregated.get(&event.seq).unwrap_or(&event.client).text();
    match &event.txn {
        Some(txn) if txn.device_id == device_id => {
            let mut id = String::new();
            push_text(&mut id, &txn.txn_id);
            with_unsigned(text, "transaction_id", &id).map_or(text.into(), Cow::Owned)
        }
        _ => text.into(),
    }
}

/// A sticky event's JSON, with the time that is left to it (MSC4354, "Sync API changes").
pub(crate) fn sticky_json(event: &Sticky) -> String {
    with_remaining(event.client.text(), event.remaining_ms)
}

fn with_remaining(text: &str, remaining_ms: u64) -> String {
    let value = remaining_ms.to_string();
    with_unsigned(text, "msc4354_sticky_duration_ttl_ms", &value).unwrap_or_else(|| text.to_owned())
}

/// Adds the time that is left to those events of a timeline that are sticky.
pub(crate) fn add_remaining(
    view: &dyn UserView,
    room_id: &RoomId,
    timeline: &[&NoticeEvent],
    texts: &mut BTreeMap<RoomSeq, RawJson>,
) {
    let none = view.sticky_position() == StreamPos(0);
    if none || !timeline.iter().any(|event| event.client.text().contains("\"msc4354_sticky\"")) {
        return;
    }
    for sticky in view.room_sticky(room_id, StreamPos(0)) {
        let event = timeline.iter().find(|event| event.event_id == sticky.event_id);
        let Some(event) = event else { continue };
        let text = texts.get(&event.seq).unwrap_or(&event.client).text();
        if let Ok(text) = RawJson::parse(with_remaining(text, sticky.remaining_ms)) {
            texts.insert(event.seq, text);
        }
    }
}

#[derive(Deserialize)]
struct Unsigned<'a> {
    #[serde(borrow, default)]
    unsigned: Option<&'a RawValue>,
}

/// The event `text` with a field of `unsigned` that is JSON already.
fn with_unsigned(text: &str, name: &str, value: &str) -> Option<String> {
    let unsigned = serde_json::from_str::<Unsigned<'_>>(text).ok()?.unsigned;
    let mut out = String::with_capacity(text.len() + name.len() + value.len() + 24);
    let (head, tail) = match unsigned {
        // `get` borrows from `text`, so the distance between the two is where `unsigned` starts.
        Some(unsigned) => text.split_at_checked(unsigned.get().as_ptr() as usize - text.as_ptr() as usize)?,
        None => ("", text),
    };
    let fields = tail.trim_start().strip_prefix('{')?.trim_start();
    out.push_str(head);
    out.push_str(if unsigned.is_some() { "{" } else { "{\"unsigned\":{" });
    push_text(&mut out, name);
    out.push(':');
    out.push_str(value);
    if unsigned.is_none() {
        out.push('}');
    }
    if !fields.starts_with('}') {
        out.push(',');
    }
    out.push_str(fields);
    Some(out)
}

/// The user whose membership a member event is about.
pub(crate) fn member_of(event: &NoticeEvent) -> Option<&str> {
    event.state_key.as_deref().filter(|_| event.kind == MEMBER)
}

/// Whether the user's own newest event ended a time in the room, rather than an invite, a knock or an earlier leave: only
/// then may they see the room as it was at that event.
pub(crate) fn ended_join(view: &dyn UserView, room: &RoomView) -> bool {
    #[derive(Deserialize)]
    struct Event {
        unsigned: Before,
    }
    #[derive(Deserialize)]
    struct Before {
        prev_content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    let own = Some(view.user_id().as_str());
    let newest = view.inbox(&room.room_id, room.newest.previous());
    newest.iter().filter(|event| member_of(event) == own).any(|event| {
        event
            .client
            .read::<Event>()
            .is_ok_and(|event| event.unsigned.prev_content.membership == Membership::Join.as_str())
    })
}

/// The `state_key` of an event in client form.
pub(crate) fn state_key(raw: &RawJson) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Key {
        state_key: String,
    }
    raw.read::<Key>().ok().map(|key| key.state_key)
}

#[cfg(test)]
mod tests {
    use super::with_unsigned;
    use serde_json::{Value, json};

    #[test]
    fn a_transaction_id_is_spliced_into_unsigned() {
        for (before, after) in [
            (r"{}", json!({"unsigned": {"transaction_id": "t\"1"}})),
            (r#"{"a":1}"#, json!({"a": 1, "unsigned": {"transaction_id": "t\"1"}})),
            (r#"{"unsigned":{},"z":2}"#, json!({"z": 2, "unsigned": {"transaction_id": "t\"1"}})),
            (
                r#"{"a":"{","unsigned": { "age":5 }}"#,
                json!({"a": "{", "unsigned": {"age": 5, "transaction_id": "t\"1"}}),
            ),
        ] {
            let out = with_unsigned(before, "transaction_id", r#""t\"1""#).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), after);
        }
    }
}
