//! In which thread an event is, and which receipts fit it.

use ruma::event_id;
use serde_json::{Value, json};
use tern_model::{Millis, RoomSeq, StoredEvent};
use tern_room::thread::{MAIN, Place, fits, place};

use crate::support::{ALICE, raw};

fn event(relation: Option<Value>, unsigned: Option<Value>) -> StoredEvent {
    let content = relation.map_or_else(|| json!({}), |relation| json!({ "m.relates_to": relation }));
    StoredEvent {
        seq: RoomSeq(1),
        event_id: event_id!("$it").to_owned(),
        kind: "m.room.message".to_owned(),
        sender: ALICE.to_owned(),
        state_key: None,
        ts: Millis(1),
        pdu: raw(&json!({ "content": content })),
        unsigned: unsigned.map(|unsigned| raw(&unsigned)),
        txn: None,
    }
}

#[test]
fn a_receipt_fits_the_thread_its_event_is_in() {
    let fitting = |place: &Place| ["main", "$root", "$it", "$other"].map(|name| fits(name, event_id!("$it"), place));
    assert_eq!(MAIN, "main");
    let plain = place(&event(None, None));
    assert_eq!((fitting(&plain), plain), ([true, false, true, false], Place::Main));
    let reply = place(&event(Some(json!({ "m.in_reply_to": { "event_id": "$root" } })), None));
    assert_eq!(reply, Place::Main, "a reply alone is in no thread");
    let threaded = place(&event(Some(json!({ "rel_type": "m.thread", "event_id": "$root" })), None));
    assert_eq!(fitting(&threaded), [false, true, false, false]);
    let reaction = json!({ "rel_type": "m.annotation", "event_id": "$root", "key": "+" });
    assert_eq!(place(&event(Some(reaction), None)), Place::With(event_id!("$root").to_owned()));
    let redacted = place(&event(None, Some(json!({ "redacted_because": {} }))));
    assert_eq!(fitting(&redacted), [true; 4], "it does not tell any more");
}
