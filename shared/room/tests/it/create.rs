use std::collections::BTreeMap;

use serde_json::{Value, json};
use tern_model::{MatrixError, Millis};
use tern_room::{CreateRoomRequest, DEFAULT, Plan, Profile, SUPPORTED, plan};

use crate::support::{ALICE, BOB, CAROL, Room, request, signer, user};

fn planned(body: Value) -> Result<Plan, MatrixError> {
    let profiles = BTreeMap::from([
        (user(ALICE), Profile { displayname: Some("Alice".into()), avatar_url: Some("mxc://tern.test/a".into()) }),
        (user(BOB), Profile { displayname: Some("Bob".into()), avatar_url: None }),
    ]);
    Ok(plan(&request(body), &user(ALICE), &profiles, [3; 18], Millis(1), &signer())?)
}

fn error_of(body: Value) -> (u16, String) {
    let error = planned(body).map(|_| ()).unwrap_err();
    (error.status, error.errcode.into_owned())
}

/// `type` and `state_key` of the room's events, in order.
fn order(room: &Room) -> Vec<(String, String)> {
    room.events.iter().map(|pdu| (pdu.kind().to_string(), pdu.key().unwrap().to_owned())).collect()
}

#[test]
fn presets_set_their_state_in_every_version() {
    let cases = [
        (json!({}), "invite", "can_join", 0),
        (json!({ "visibility": "private" }), "invite", "can_join", 0),
        (json!({ "visibility": "public" }), "public", "forbidden", 50),
        (json!({ "preset": "private_chat" }), "invite", "can_join", 0),
        (json!({ "preset": "trusted_private_chat" }), "invite", "can_join", 0),
        (json!({ "preset": "public_chat" }), "public", "forbidden", 50),
        (json!({ "preset": "private_chat", "visibility": "public" }), "invite", "can_join", 0),
    ];
    for version in SUPPORTED {
        for (body, join_rule, guest_access, invite) in &cases {
            let room = Room::create(version.id, body.clone());
            assert_eq!(room.find("m.room.join_rules", "").unwrap(), json!({ "join_rule": join_rule }));
            assert_eq!(room.find("m.room.guest_access", "").unwrap(), json!({ "guest_access": guest_access }));
            let shared = json!({ "history_visibility": "shared" });
            assert_eq!(room.find("m.room.history_visibility", "").unwrap(), shared);
            assert_eq!(room.find("m.room.power_levels", "").unwrap()["invite"], *invite);
            assert_eq!(room.membership(ALICE).unwrap(), "join");
            assert_eq!(room.events.len(), 6);
        }
    }
}

#[test]
fn events_come_in_the_order_of_the_spec() {
    let body = json!({
        "name": "N", "topic": "T", "room_alias_name": "pub", "invite": [BOB, CAROL, BOB], "is_direct": true,
        "initial_state": [
            { "type": "m.room.topic", "content": { "topic": "overwritten" } },
            { "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
            { "type": "m.room.guest_access", "content": { "guest_access": "forbidden" } },
        ],
    });
    for version in SUPPORTED {
        let room = Room::create(version.id, body.clone());
        let expected = [
            ("m.room.create", ""),
            ("m.room.member", ALICE),
            ("m.room.power_levels", ""),
            ("m.room.canonical_alias", ""),
            ("m.room.join_rules", ""),
            ("m.room.history_visibility", ""),
            ("m.room.encryption", ""),
            ("m.room.guest_access", ""),
            ("m.room.name", ""),
            ("m.room.topic", ""),
            ("m.room.member", BOB),
            ("m.room.member", CAROL),
        ];
        assert_eq!(order(&room), expected.map(|(kind, key)| (kind.to_owned(), key.to_owned())));
        assert_eq!(room.find("m.room.canonical_alias", "").unwrap()["alias"], "#pub:tern.test");
        assert_eq!(room.find("m.room.topic", "").unwrap()["topic"], "T");
        assert_eq!(room.find("m.room.topic", "").unwrap()["m.topic"]["m.text"][0]["body"], "T");
        assert_eq!(room.find("m.room.guest_access", "").unwrap()["guest_access"], "forbidden");
        assert_eq!(room.find("m.room.member", BOB).unwrap(), json!({ "membership": "invite", "is_direct": true }));
    }
}

#[test]
fn the_create_event_fits_its_version() {
    for version in SUPPORTED {
        let content = json!({ "type": "m.space", "creator": "@x:y.test", "room_version": "1", "m.federate": false });
        let room = Room::create(version.id, json!({ "creation_content": content }));
        let create = room.find("m.room.create", "").unwrap();
        assert_eq!(create["room_version"], version.id);
        assert_eq!((create["type"].as_str(), create["m.federate"].as_bool()), (Some("m.space"), Some(false)));
        let creator = create.get("creator").and_then(Value::as_str);
        assert_eq!(creator, if ["11", "12"].contains(&version.id) { None } else { Some(ALICE) });
        let first = &room.events[0];
        assert!(first.prev().is_empty() && first.auth().is_empty() && first.depth() == 1);
        if version.id == "12" {
            assert_eq!(first.room(), None);
            assert_eq!(room.id.as_str()[1..], first.id().as_str()[1..]);
        } else {
            assert_eq!(first.room().unwrap(), room.id);
            assert_eq!(room.id.server_name().unwrap(), "tern.test");
        }
    }
}

#[test]
fn version_12_is_the_default_and_two_rooms_of_one_moment_differ() {
    assert_eq!(DEFAULT.id, "12");
    let make = |entropy| {
        let request = CreateRoomRequest::default();
        plan(&request, &user(ALICE), &BTreeMap::new(), entropy, Millis(1), &signer()).unwrap().room_id
    };
    assert_ne!(make([1; 18]), make([2; 18]));
    assert_eq!(planned(json!({})).unwrap().version.id, "12");
}

#[test]
fn a_trusted_chat_makes_invitees_equal() {
    for version in SUPPORTED {
        let body = json!({ "preset": "trusted_private_chat", "invite": [BOB], "is_direct": true });
        let room = Room::create(version.id, body);
        let levels = room.find("m.room.power_levels", "").unwrap();
        let create = room.find("m.room.create", "").unwrap();
        if version.id == "12" {
            assert_eq!(levels["users"], json!({}));
            assert_eq!(create["additional_creators"], json!([BOB]));
            assert_eq!(levels["events"]["m.room.tombstone"], 150);
        } else {
            assert_eq!(levels["users"], json!({ ALICE: 100, BOB: 100 }));
            assert_eq!(create.get("additional_creators"), None);
            assert_eq!(levels["events"]["m.room.tombstone"], 100);
        }
    }
    let body = json!({
        "preset": "trusted_private_chat", "invite": [BOB],
        "creation_content": { "additional_creators": [CAROL, BOB, ALICE] },
    });
    let room = Room::create("12", body);
    assert_eq!(room.find("m.room.create", "").unwrap()["additional_creators"], json!([BOB, CAROL]));
}

#[test]
fn overrides_go_on_top_of_the_levels() {
    let room = Room::create("12", json!({ "power_level_content_override": { "kick": 77, "state_default": 120 } }));
    let levels = room.find("m.room.power_levels", "").unwrap();
    assert_eq!((&levels["kick"], &levels["ban"]), (&json!(77), &json!(50)));
    assert_eq!(levels["events"]["m.room.tombstone"], 170, "explicitly above state_default");
    let room = Room::create("12", json!({ "power_level_content_override": { "events": { "m.test": 1 } } }));
    assert_eq!(
        room.find("m.room.power_levels", "").unwrap()["events"],
        json!({ "m.test": 1, "m.room.tombstone": 150 })
    );
    let events = json!({ "m.room.tombstone": 100 });
    let room = Room::create("12", json!({ "power_level_content_override": { "events": events } }));
    assert_eq!(room.find("m.room.power_levels", "").unwrap()["events"], events, "as the creator says");
    let room = Room::create("11", json!({ "power_level_content_override": { "users": { ALICE: 100, BOB: 50 } } }));
    assert_eq!(room.find("m.room.power_levels", "").unwrap()["users"], json!({ ALICE: 100, BOB: 50 }));
}

#[test]
fn a_state_that_cannot_be_is_said_so() {
    let invalid = |version: &str, mut body: Value| {
        body["room_version"] = version.into();
        let error = Room::try_create(&request(body)).map(|_| ()).unwrap_err();
        assert_eq!((error.status, &*error.errcode), (400, "M_INVALID_ROOM_STATE"));
    };
    let powerless = json!({ "power_level_content_override": { "users": {} }, "name": "N" });
    invalid("11", powerless.clone());
    assert!(Room::try_create(&request(powerless)).is_ok(), "creators need no entry in version 12");
    invalid("12", json!({ "power_level_content_override": { "users": { ALICE: 100 } } }));
    invalid("12", json!({ "power_level_content_override": { "ban": "50" } }));
    invalid("12", json!({ "initial_state": [{ "type": "m.room.create", "content": {} }] }));
    let member = json!([{ "type": "m.room.member", "state_key": BOB, "content": { "membership": "join" } }]);
    invalid("12", json!({ "initial_state": member }));
    let invite = json!([{ "type": "m.room.member", "state_key": BOB, "content": { "membership": "invite" } }]);
    invalid("12", json!({ "initial_state": invite }));
}

#[test]
fn requests_that_ask_for_the_impossible_are_refused() {
    assert_eq!(error_of(json!({ "room_version": "5" })), (400, "M_UNSUPPORTED_ROOM_VERSION".into()));
    assert_eq!(error_of(json!({ "room_version": "org.x" })), (400, "M_UNSUPPORTED_ROOM_VERSION".into()));
    let invite = json!([{ "id_server": "id.test", "id_access_token": "t", "medium": "email", "address": "a@b.c" }]);
    assert_eq!(error_of(json!({ "invite_3pid": invite })), (403, "M_THREEPID_DENIED".into()));
    assert!(planned(json!({ "invite_3pid": [] })).is_ok());
    for body in [
        json!({ "preset": "chatty" }),
        json!({ "visibility": "secret" }),
        json!({ "invite": ["bob"] }),
        json!({ "invite": [ALICE] }),
        json!({ "room_alias_name": "" }),
        json!({ "room_alias_name": "a:b" }),
        json!({ "room_alias_name": "a b" }),
        json!({ "room_alias_name": "x".repeat(255) }),
    ] {
        assert_eq!(error_of(body.clone()), (400, "M_INVALID_PARAM".into()), "{body}");
    }
    for content in [
        json!({ "m.federate": "no" }),
        json!({ "type": 1 }),
        json!({ "additional_creators": "@a:b.c" }),
        json!({ "n": 1.5 }),
    ] {
        assert_eq!(error_of(json!({ "creation_content": content })), (400, "M_BAD_JSON".into()), "{content}");
    }
    assert!(serde_json::from_value::<CreateRoomRequest>(json!({ "room_version": 1 })).is_err());
    assert!(serde_json::from_value::<CreateRoomRequest>(json!({ "initial_state": [{ "type": "m.x" }] })).is_err());
}

#[test]
fn a_plan_tells_what_else_is_to_be_done() {
    let plan = planned(json!({ "visibility": "public", "room_alias_name": "pub", "invite": [BOB] })).unwrap();
    assert!(plan.published);
    assert_eq!(plan.alias.unwrap(), "#pub:tern.test");
    assert_eq!(plan.invites, [user(BOB)]);
    let join: Value = plan.drafts[0].content.read().unwrap();
    assert_eq!(join, json!({ "membership": "join", "displayname": "Alice", "avatar_url": "mxc://tern.test/a" }));
    let invite: Value = plan.drafts.last().unwrap().content.read().unwrap();
    assert_eq!(invite, json!({ "membership": "invite", "displayname": "Bob" }));
    assert!(!planned(json!({})).unwrap().published);
}
