//! Push rules of a room that is replaced by another one.

#![expect(clippy::unwrap_used, reason = "tests")]

use ruma::{RoomId, room_id, user_id};
use serde_json::{Value, json};
use tern_model::RawJson;
use tern_push::{Change, PushRules, View};

const OLD: &str = "!old:x";
const NEW: &str = "!new:x";

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

fn put(rules: &mut PushRules, kind: &str, id: &str, conditions: &Value) {
    let rule = raw(&json!({ "actions": [{ "set_tweak": "highlight" }], "conditions": conditions }));
    // The first one put is the most important one here.
    rules.apply(kind, id, Change::Put { rule: &rule, before: None, after: None }).unwrap();
}

fn in_room(room_id: &str) -> Value {
    json!({ "kind": "event_match", "key": "room_id", "pattern": room_id })
}

/// The user's own rules of a kind: id, switch, conditions.
fn own(rules: &PushRules, kind: &str) -> Vec<(String, bool, Value)> {
    let seen: Value = rules.view(View::Kind(kind)).unwrap().read().unwrap();
    let own = seen.as_array().unwrap().iter().filter(|rule| rule["default"] == false);
    own.map(|rule| {
        let id = rule["rule_id"].as_str().unwrap().to_owned();
        (id, rule["enabled"] == true, rule["conditions"].clone())
    })
    .collect()
}

fn copied(rules: &mut PushRules) -> bool {
    rules.copy_room(<&RoomId>::try_from(OLD).unwrap(), room_id!("!new:x"))
}

fn rules() -> PushRules {
    PushRules::server_default(user_id!("@a:x"))
}

#[test]
fn rules_of_a_room_are_copied_beside_their_originals_with_their_switch() {
    let mut rules = rules();
    put(&mut rules, "override", "least", &json!([in_room("!other:x")]));
    put(&mut rules, "override", OLD, &json!([in_room(OLD)]));
    put(&mut rules, "override", "first", &json!([]));
    put(&mut rules, "room", OLD, &json!([]));
    rules.apply("override", OLD, Change::Enable(false)).unwrap();
    assert!(copied(&mut rules));
    let expected = [
        ("first".to_owned(), true, json!([])),
        (OLD.to_owned(), false, json!([in_room(OLD)])),
        (NEW.to_owned(), false, json!([in_room(NEW)])),
        ("least".to_owned(), true, json!([in_room("!other:x")])),
    ];
    assert_eq!(own(&rules, "override"), expected);
    let expected = [(OLD.to_owned(), true, Value::Null), (NEW.to_owned(), true, Value::Null)];
    assert_eq!(own(&rules, "room"), expected);
    let seen: Value = rules.view(View::Rule("room", NEW)).unwrap().read().unwrap();
    assert_eq!(seen["actions"], json!([{ "set_tweak": "highlight" }]));
    let before = rules.clone();
    assert!(!copied(&mut rules), "a second time there is nothing to copy");
    assert_eq!(rules, before);
}

#[test]
fn what_is_not_about_the_room_alone_stays_and_what_the_new_room_has_is_kept() {
    let mut rules = rules();
    put(&mut rules, "override", "two", &json!([in_room(OLD), { "kind": "contains_display_name" }]));
    put(&mut rules, "override", "many", &json!([in_room("!o*")]));
    put(&mut rules, "override", "topic", &json!([{ "kind": "event_match", "key": "content.topic", "pattern": OLD }]));
    put(&mut rules, "underride", "under", &json!([in_room(OLD)]));
    put(&mut rules, "room", OLD, &json!([]));
    put(&mut rules, "room", NEW, &json!([]));
    rules.apply("room", NEW, Change::Enable(false)).unwrap();
    let before = rules.clone();
    assert!(!copied(&mut rules));
    assert_eq!(rules, before);
}

#[test]
fn rules_with_names_of_their_own_get_names_that_are_free() {
    let mut rules = rules();
    let is = json!([{ "kind": "event_property_is", "key": "room_id", "value": OLD }]);
    put(&mut rules, "override", "quiet", &is);
    put(&mut rules, "override", "mute !old:x", &json!([in_room(OLD)]));
    assert!(copied(&mut rules));
    let names: Vec<_> = own(&rules, "override").into_iter().map(|(id, ..)| id).collect();
    assert_eq!(names, ["mute !old:x", "mute !new:x", "quiet", NEW]);
}

#[test]
fn a_room_whose_id_is_a_pattern_is_not_matched_like_one() {
    let mut rules = rules();
    put(&mut rules, "override", OLD, &json!([in_room(OLD)]));
    assert!(!rules.copy_room(<&RoomId>::try_from(OLD).unwrap(), room_id!("!*:x")));
}
