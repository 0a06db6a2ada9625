use ruma::room_id;
use serde_json::{Map, Value, json};
use tern_room::upgrade::{OldState, UpgradeRequest, closed, successor};

use crate::support::{ALICE, BOB, user};

fn old(kind: &str, state_key: &str, content: &Value) -> OldState {
    OldState { kind: kind.to_owned(), state_key: state_key.to_owned(), content: object(content) }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn state() -> Vec<OldState> {
    let levels = json!({ "users": { ALICE: 50, BOB: 100 }, "ban": 70, "events": { "m.room.name": 120 } });
    vec![
        old(
            "m.room.create",
            "",
            &json!({ "room_version": "10", "creator": BOB, "type": "m.space", "m.federate": false }),
        ),
        old("m.room.power_levels", "", &levels),
        old("m.room.join_rules", "", &json!({ "join_rule": "public" })),
        old("m.room.name", "", &json!({ "name": "Nest" })),
        old("m.space.child", "!c:tern.test", &json!({ "via": ["tern.test"] })),
        old("m.room.member", "@troll:tern.test", &json!({ "membership": "ban", "reason": "spam" })),
    ]
}

type Object = Map<String, Value>;

/// Creation content, the levels while the room is made, those in the end, and the types of the initial state.
fn upgraded(version: &str, creators: &[&str]) -> (Object, Object, Object, Vec<String>) {
    let creators = creators.iter().map(|id| user(id)).collect();
    let request = UpgradeRequest { new_version: version.to_owned(), additional_creators: creators };
    let successor = successor(&request, &user(ALICE), room_id!("!old:tern.test"), "$last", state()).unwrap();
    let kinds = successor.request.initial_state.unwrap().into_iter().map(|event| event.kind).collect();
    let founding = successor.request.power_level_content_override.unwrap();
    (successor.request.creation_content.unwrap(), founding, successor.levels, kinds)
}

#[test]
fn what_goes_with_a_room_and_what_stays() {
    let (creation, founding, levels, kinds) = upgraded("11", &[]);
    let predecessor = json!({ "room_id": "!old:tern.test", "event_id": "$last" });
    let expected = json!({ "type": "m.space", "m.federate": false, "predecessor": predecessor });
    assert_eq!(Value::Object(creation), expected);
    assert_eq!(kinds, ["m.room.join_rules", "m.room.name", "m.space.child", "m.room.member", "m.room.guest_access"]);
    assert_eq!(founding["users"], json!({ ALICE: 120, BOB: 100 }), "enough for everything that has to be set");
    assert_eq!(levels["users"], json!({ ALICE: 50, BOB: 100 }), "and in the end as before");
}

#[test]
fn creators_of_version_12_stand_above_the_levels_and_not_in_them() {
    let (creation, founding, levels, _) = upgraded("12", &[BOB]);
    assert_eq!(creation["predecessor"], json!({ "room_id": "!old:tern.test" }));
    assert_eq!(creation["additional_creators"], json!([BOB]));
    assert_eq!((&founding["users"], &levels["users"]), (&json!({}), &json!({})));
}

#[test]
fn levels_written_as_text_are_numbers_in_the_new_room() {
    let texts = json!({
        "users": { ALICE: "100", BOB: " 50 ", "@x:tern.test": "much" }, "ban": "70", "kick": "x", "invite": null,
        "events": { "m.room.name": "120" }, "notifications": { "room": "20" }, "events_default": 5,
    });
    let request = UpgradeRequest { new_version: "11".to_owned(), additional_creators: Vec::new() };
    let state = vec![old("m.room.power_levels", "", &texts)];
    let successor = successor(&request, &user(ALICE), room_id!("!old:tern.test"), "$last", state).unwrap();
    let whole = json!({
        "users": { ALICE: 100, BOB: 50 }, "ban": 70, "events": { "m.room.name": 120 },
        "notifications": { "room": 20 }, "events_default": 5,
    });
    assert_eq!(Value::Object(successor.levels), whole);
    let founding = successor.request.power_level_content_override.unwrap();
    assert_eq!(founding["users"], json!({ ALICE: 120, BOB: 50 }));
    let quiet = closed(&object(&json!({ "events_default": "50", "invite": "100" })));
    assert_eq!(quiet, None, "texts count in the old room as well");
}

#[test]
fn an_unknown_version_is_refused() {
    let request = UpgradeRequest { new_version: "99".to_owned(), additional_creators: Vec::new() };
    assert!(successor(&request, &user(ALICE), room_id!("!old:tern.test"), "$last", state()).is_err());
}

#[test]
fn a_closed_room_is_quiet() {
    let quiet = |levels: Value| closed(&object(&levels)).map(Value::Object);
    assert_eq!(quiet(json!({})), Some(json!({ "events_default": 50, "invite": 50 })));
    assert_eq!(
        quiet(json!({ "users_default": 60 })),
        Some(json!({ "users_default": 60, "events_default": 61, "invite": 61 }))
    );
    assert_eq!(quiet(json!({ "events_default": 50, "invite": 100 })), None);
}
