use serde_json::{Value, json};
use tern_model::{Hero, MembershipAction};
use tern_room::summary;

use crate::support::{ALICE, BOB, Room, state, user};

#[test]
fn a_summary_is_read_from_the_state() {
    let body = json!({
        "name": "N", "topic": "T", "room_alias_name": "pub",
        "creation_content": { "type": "m.space", "predecessor": { "room_id": "!before:tern.test" } },
        "initial_state": [
            { "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
            { "type": "m.room.avatar", "content": { "url": "mxc://t/a" } },
            { "type": "m.room.tombstone", "content": { "body": "moved" } },
        ],
    });
    let mut room = Room::create("12", body);
    let renamed = state(ALICE, "m.room.member", ALICE, &json!({ "membership": "join", "displayname": "Alice" }));
    let alice = room.send(&renamed).unwrap();
    let child = |room: &mut Room, key: &str, via: Value| {
        room.send(&state(ALICE, "m.space.child", key, &json!({ "via": via }))).unwrap()
    };
    let children = [
        child(&mut room, "!a:tern.test", json!(["tern.test"])),
        child(&mut room, "!b:tern.test", json!([])),
        child(&mut room, "!c:tern.test", json!("tern.test")),
    ];
    let members = summary::Members { joined: 1, invited: 2, heroes: vec![alice; 9] };
    let made = summary::summarise(&room, &members, children).unwrap();
    assert_eq!(made.version, "12");
    assert_eq!(made.name.as_deref(), Some("N"));
    assert_eq!(made.topic.as_deref(), Some("T"));
    assert_eq!(made.avatar.as_deref(), Some("mxc://t/a"));
    assert_eq!(made.canonical_alias.as_deref(), Some("#pub:tern.test"));
    assert_eq!(made.room_type.as_deref(), Some("m.space"));
    assert_eq!(made.predecessor.as_ref().map(|room_id| room_id.as_str()), Some("!before:tern.test"));
    assert_eq!(made.join_rule.as_deref(), Some("invite"));
    assert_eq!(made.tombstone.as_deref(), Some(""));
    assert!(made.encrypted);
    assert_eq!((made.joined, made.invited, made.heroes.len()), (1, 2, 6));
    assert_eq!(made.heroes[0], Hero { user_id: user(ALICE), name: Some("Alice".into()), avatar: None });
    assert_eq!(made.children, ["!a:tern.test"]);
}

#[test]
fn what_is_empty_or_of_a_wrong_shape_is_as_good_as_absent() {
    let creation = json!({ "predecessor": { "room_id": "before" } });
    let mut room = Room::create("12", json!({ "name": "N", "creation_content": creation }));
    room.set(ALICE, "m.room.name", &json!({ "name": "" }));
    room.set(ALICE, "m.room.topic", &json!({ "topic": 5 }));
    let made = summary::summarise(&room, &summary::Members::default(), []).unwrap();
    assert_eq!((made.name, made.topic, made.tombstone, made.encrypted), (None, None, None, false));
    assert_eq!((made.room_type, made.predecessor), (None, None));
}

#[test]
fn what_no_person_writes_is_not_in_an_invite() {
    let mut room = Room::create("12", json!({ "name": "N", "topic": "T".repeat(9_000) }));
    let invite = room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
    let stripped = summary::stripped_state(&room, &invite).unwrap();
    let kinds: Vec<String> = stripped.iter().map(|event| event.read::<Value>().unwrap()["type"].to_string()).collect();
    assert!(kinds.iter().all(|kind| kind != "\"m.room.topic\""), "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "\"m.room.member\"");
}

#[test]
fn an_invite_comes_with_the_face_of_the_room() {
    let mut room = Room::create("12", json!({ "name": "N", "topic": "T" }));
    let invite = room.change(MembershipAction::Invite, ALICE, BOB).unwrap();
    let stripped = summary::stripped_state(&room, &invite).unwrap();
    let kinds: Vec<(String, String)> = stripped
        .iter()
        .map(|event| {
            let event: Value = event.read().unwrap();
            assert_eq!(event.as_object().unwrap().len(), 4);
            (event["type"].as_str().unwrap().to_owned(), event["state_key"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("m.room.create", ""),
        ("m.room.name", ""),
        ("m.room.topic", ""),
        ("m.room.join_rules", ""),
        ("m.room.member", ALICE),
        ("m.room.member", BOB),
    ];
    assert_eq!(kinds, expected.map(|(kind, key)| (kind.to_owned(), key.to_owned())));
}
