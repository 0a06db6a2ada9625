//! One event on its way into an answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ruma::DeviceId;
use serde::Deserialize;
use serde_json::value::RawValue;
use tern_model::{NoticeEvent, RawJson, RoomSeq};

use crate::json::push_text;
use crate::state::MEMBER;
use crate::view::{Membership, RoomView, UserView};

/// The event's JSON for `device_id`: with its transaction id if that device sent it (Client-Server API, "Transaction
/// identifiers"), and with what is said about it, if it is among `aggregated`. The rest of the text is copied as it is.
pub(crate) fn client_json<'a>(
    event: &'a NoticeEvent,
    device_id: &DeviceId,
    aggregated: &'a BTreeMap<RoomSeq, RawJson>,
) -> Cow<'a, str> {
    let text = aggregated.get(&event.seq).unwrap_or(&event.client).text();
    match &event.txn {
        Some(txn) if txn.device_id == device_id => with_txn(text, &txn.txn_id).map_or(text.into(), Cow::Owned),
        _ => text.into(),
    }
}

#[derive(Deserialize)]
struct Unsigned<'a> {
    #[serde(borrow, default)]
    unsigned: Option<&'a RawValue>,
}

fn with_txn(text: &str, txn_id: &str) -> Option<String> {
    let unsigned = serde_json::from_str::<Unsigned<'_>>(text).ok()?.unsigned;
    let mut out = String::with_capacity(text.len() + txn_id.len() + 40);
    let (head, tail) = match unsigned {
        // `get` borrows from `text`, so the distance between the two is where `unsigned` starts.
        Some(unsigned) => text.split_at_checked(unsigned.get().as_ptr() as usize - text.as_ptr() as usize)?,
        None => ("", text),
    };
    let fields = tail.trim_start().strip_prefix('{')?.trim_start();
    out.push_str(head);
    out.push_str(if unsigned.is_some() { "{\"transaction_id\":" } else { "{\"unsigned\":{\"transaction_id\":" });
    push_text(&mut out, txn_id);
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

#[cfg(test)]
mod tests {
    use super::with_txn;
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
            let out = with_txn(before, "t\"1").unwrap();
            assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), after);
        }
    }
}
