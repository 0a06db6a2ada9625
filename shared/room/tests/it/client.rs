use serde_json::{Value, json};
use tern_model::{RawJson, StoredEvent};
use tern_room::{
    Draft, Form, SUPPORTED, Version, client_event, redact, stripped_event, unsigned, with_room_id, with_transaction_id,
};

use crate::support::{ALICE, Room, message, raw, state, stored, user};

fn form(version: &Version, event: &StoredEvent, form: Form<'_>) -> Value {
    client_event(version, event, form).unwrap().read().unwrap()
}

#[test]
fn clients_get_their_fields_and_no_others() {
    let mut room = Room::create("12", json!({}));
    let pdu = room.send(&message(ALICE)).unwrap();
    let event = stored(7, &pdu, None);
    let plain = form(room.version, &event, Form::default());
    let expected = json!({
        "content": { "body": "hello", "msgtype": "m.text" }, "event_id": pdu.id(), "origin_server_ts": pdu.ts().0,
        "sender": ALICE, "type": "m.room.message",
    });
    assert_eq!(plain, expected);
    let full =
        Form { room_id: Some(&room.id), transaction_id: Some("t\"1"), membership: Some("join"), relations: None };
    let full = form(room.version, &event, full);
    assert_eq!(full["room_id"], room.id.as_str());
    assert_eq!(full["unsigned"], json!({ "transaction_id": "t\"1", "membership": "join" }));
}

#[test]
fn the_create_event_of_version_12_gets_its_room_back() {
    let room = Room::create("12", json!({}));
    let event =
        form(room.version, &stored(1, &room.events[0], None), Form { room_id: Some(&room.id), ..Form::default() });
    assert_eq!((event["room_id"].as_str(), event["state_key"].as_str()), (Some(room.id.as_str()), Some("")));
}

#[test]
fn a_redaction_names_its_target_in_both_places() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({}));
        let target = room.send(&message(ALICE)).unwrap();
        let content = raw(&json!({ "reason": "r" }));
        let draft = Draft::new(user(ALICE), "m.room.redaction".into(), None, content, Some(target.id().into()));
        let event = form(version, &stored(9, &room.send(&draft).unwrap(), None), Form::default());
        assert_eq!(event["redacts"], target.id().as_str());
        assert_eq!(event["content"], json!({ "reason": "r", "redacts": target.id() }));
    }
}

#[test]
fn what_a_redacted_redaction_was_for_is_kept_and_not_shown() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({}));
        let target = room.send(&message(ALICE)).unwrap();
        let draft = Draft::new(user(ALICE), "m.room.redaction".into(), None, raw(&json!({})), Some(target.id().into()));
        let redaction = room.send(&draft).unwrap();
        let because = raw(&json!({ "type": "m.room.redaction" }));
        let plain = unsigned::redacted(None, &because).unwrap();
        let kept = unsigned::keeping_target(&plain, target.id()).unwrap();
        assert_eq!(unsigned::kept_target(&kept).as_deref(), Some(target.id()));
        assert_eq!(unsigned::kept_target(&plain), None);
        let shown = form(version, &stored(9, &redaction, Some(kept)), Form::default());
        assert_eq!(shown["unsigned"], json!({ "redacted_because": { "type": "m.room.redaction" } }));
    }
}

#[test]
fn unsigned_tells_what_was_before() {
    let mut room = Room::create("12", json!({ "name": "old" }));
    let old = room.events.last().unwrap().clone();
    let new = room.send(&state(ALICE, "m.room.name", "", &json!({ "name": "new" }))).unwrap();
    let before = unsigned::replacing(&old).unwrap();
    let event = stored(8, &new, Some(before.clone()));
    let client = form(room.version, &event, Form { transaction_id: Some("t"), ..Form::default() });
    let expected = json!({
        "prev_content": { "name": "old" }, "prev_sender": ALICE, "replaces_state": old.id(), "transaction_id": "t",
    });
    assert_eq!(client["unsigned"], expected);

    let because = raw(&json!({ "type": "m.room.redaction" }));
    let redacted: Value = unsigned::redacted(Some(&before), &because).unwrap().read().unwrap();
    assert_eq!(redacted["redacted_because"]["type"], "m.room.redaction");
    assert_eq!(redacted["replaces_state"], old.id().as_str());
    assert!(unsigned::redacted(None, &because).is_ok());

    // The old name is redacted: its copy goes, too.
    let remaining: Value = redact::redact(room.version, old.raw()).unwrap().read().unwrap();
    let remaining = raw(&remaining["content"]);
    let pruned: Value = unsigned::predecessor_redacted(&before, &remaining.0).unwrap().read().unwrap();
    assert_eq!((&pruned["prev_content"], &pruned["prev_sender"]), (&json!({}), &json!(ALICE)));
}

#[test]
fn ready_client_forms_take_a_room_and_a_transaction() {
    let room = Room::create("12", json!({}));
    for (before, after) in [
        (json!({ "type": "m.x" }), json!({ "transaction_id": "t\n" })),
        (json!({ "type": "m.x", "unsigned": {} }), json!({ "transaction_id": "t\n" })),
        (
            json!({ "unsigned": { "a": { "unsigned": {} } }, "z": 1 }),
            json!({ "a": { "unsigned": {} }, "transaction_id": "t\n" }),
        ),
    ] {
        let with: Value = with_transaction_id(&raw(&before), "t\n").read().unwrap();
        assert_eq!(with["unsigned"], after);
        let with: Value = with_room_id(&raw(&before), &room.id).read().unwrap();
        assert_eq!(with["room_id"], room.id.as_str());
        assert_eq!(with.as_object().unwrap().len(), before.as_object().unwrap().len() + 1);
    }
    let empty = RawJson::empty_object();
    assert_eq!(with_transaction_id(&empty, "t").text(), r#"{"unsigned":{"transaction_id":"t"}}"#);
}

#[test]
fn stripped_events_have_four_fields() {
    let room = Room::create("12", json!({ "name": "N" }));
    let stripped: Value = stripped_event(room.events.last().unwrap()).unwrap().read().unwrap();
    assert_eq!(
        stripped,
        json!({ "type": "m.room.name", "state_key": "", "sender": ALICE, "content": { "name": "N" } })
    );
}
