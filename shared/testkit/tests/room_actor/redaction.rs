//! Redactions, here and in storage.

use std::collections::BTreeSet;

use ruma::OwnedEventId;
use serde_json::json;
use tern_ports::wire::room::{ReadEvent, ReadStateEvent};

use super::scene::{ALICE, BOB, CAROL, Scene, body, caller, stored_texts, texts, user};

#[test]
fn a_redaction_empties_the_event_here_and_in_storage() {
    let scene = Scene::with_trimmed_tail();
    let ids = |text: &str| {
        let all = scene.walk(ALICE, true, 500);
        let event = all.iter().find(|event| event["content"]["body"] == text).unwrap();
        OwnedEventId::try_from(event["event_id"].as_str().unwrap()).unwrap()
    };
    let (old, new) = (ids("5"), ids("345"));
    assert_eq!(scene.redact(CAROL, &old).unwrap_err().status, 403);
    assert_eq!(scene.redact(BOB, &old).unwrap_err().status, 403, "not his, and no power");
    scene.redact(ALICE, &old).unwrap();
    scene.redact(ALICE, &new).unwrap();
    scene.host.settle();
    let told = scene.told(BOB);
    let events = told.iter().flat_map(|notice| &notice.events);
    let redacted: Vec<_> = events.filter_map(|event| event.redacts.clone()).collect();
    assert_eq!(redacted, [old.clone(), new.clone()]);
    let left = texts(&scene.walk(BOB, true, 500));
    assert_eq!(left.len(), 348);
    for id in [old, new] {
        let event =
            body(&scene.ask(ReadEvent { caller: caller(BOB), event_id: id, ignored: BTreeSet::new() }).unwrap());
        assert_eq!(event["content"], json!({}));
        assert_eq!(event["unsigned"]["redacted_because"]["type"], "m.room.redaction");
    }
    assert_eq!(stored_texts(&scene).len(), 348);
}

#[test]
fn a_redacted_state_event_leaves_no_copy_and_changes_the_summary() {
    let scene = Scene::new();
    let first = scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "slander" })).unwrap();
    let second = scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "birds" })).unwrap();
    scene.host.settle();
    scene.calm();
    scene.redact(ALICE, &first.event_id).unwrap();
    let topic = || ReadStateEvent { caller: user(BOB), kind: "m.room.topic".to_owned(), state_key: String::new() };
    let event = body(&scene.ask(topic()).unwrap());
    assert_eq!(event["content"]["topic"], "birds");
    assert_eq!(event["unsigned"]["prev_content"], json!({}));
    scene.redact(ALICE, &second.event_id).unwrap();
    assert_eq!(body(&scene.ask(topic()).unwrap())["content"], json!({}));
    scene.host.settle();
    let last = scene.told(BOB).pop().unwrap();
    assert_eq!(last.summary.unwrap().topic, None);
}
