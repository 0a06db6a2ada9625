//! Redactions: the hub drops what it holds of a redacted event (Client-Server API, "Redactions").

use ruma::{EventId, RoomId};
use serde_json::{Map, Value};
use tern_model::{MatrixError, NoticeEvent, RawJson};
use tern_ports::Sql;
use tern_room::{redact::redact, version};

use super::store::{connections, facts, inbox};

/// Strips the event `target` of a room, and what other events quote of it, because of the event `because`. Answers kept
/// for repeated requests go with it.
pub(super) fn apply(
    sql: &impl Sql,
    room_id: &RoomId,
    target: &EventId,
    because: &NoticeEvent,
) -> Result<(), MatrixError> {
    connections::drop_bodies_with(sql, target)?;
    let summary = facts::load(sql, room_id)?.summary;
    let version = summary.and_then(|summary| version::Version::known(&summary.version)).unwrap_or(version::DEFAULT);
    for (seq, event_id, client) in inbox::mentioning(sql, room_id, target)? {
        let stripped =
            if event_id == *target { Some(strip(version, &client, because)) } else { without_quote(&client, target) };
        if let Some(stripped) = stripped {
            inbox::replace(sql, room_id, seq, &stripped)?;
        }
    }
    Ok(())
}

/// What remains of an event in client form.
fn strip(version: &version::Version, client: &RawJson, because: &NoticeEvent) -> RawJson {
    let remaining = redact(version, client).ok().and_then(|remaining| remaining.read::<Map<String, Value>>().ok());
    let mut event = remaining.unwrap_or_else(|| without_content(client));
    let because = because.client.read::<Value>().unwrap_or_default();
    let mut unsigned = Map::from_iter([("redacted_because".to_owned(), because)]);
    let membership = client.read::<Value>().ok().and_then(|event| event.pointer("/unsigned/membership").cloned());
    unsigned.extend(membership.map(|membership| ("membership".to_owned(), membership)));
    event.insert("unsigned".to_owned(), Value::Object(unsigned));
    RawJson::from_value(&event).unwrap_or_else(|_| RawJson::empty_object())
}

/// For an event that the version's algorithm cannot read: nothing of its content stays.
fn without_content(client: &RawJson) -> Map<String, Value> {
    let mut event = client.read::<Map<String, Value>>().unwrap_or_default();
    event.retain(|key, _| matches!(key.as_str(), "type" | "event_id" | "sender" | "state_key" | "origin_server_ts"));
    event.insert("content".to_owned(), Value::Object(Map::new()));
    event
}

/// The state event that took the place of `target` quotes it.
fn without_quote(client: &RawJson, target: &EventId) -> Option<RawJson> {
    let mut event = client.read::<Map<String, Value>>().ok()?;
    let unsigned = event.get_mut("unsigned")?.as_object_mut()?;
    if unsigned.get("replaces_state").and_then(Value::as_str) != Some(target.as_str()) {
        return None;
    }
    unsigned.remove("prev_content")?;
    RawJson::from_value(&event).ok()
}
