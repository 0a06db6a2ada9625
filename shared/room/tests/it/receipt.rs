//! What arrives from another server, before anybody asks whether it is allowed.

use ruma::{CanonicalJsonObject, OwnedEventId, signatures::PublicKeyMap};
use serde_json::{Value, json};
use tern_model::{Millis, RawJson};
use tern_room::{Dropped, KNOWN, SUPPORTED, Unverified, Version, build};

use crate::support::{ALICE, Room, message, object, public_keys, raw, signer};

/// A message of ALICE's as her server sends it, and the room it is in.
fn sent(version: &'static Version) -> (Room, CanonicalJsonObject, OwnedEventId) {
    let room = Room::create(version.id, json!({}));
    let pdu = build(&room, &message(ALICE), Millis(9), &signer()).unwrap();
    (room, object(&pdu), pdu.id().to_owned())
}

fn read(room: &Room, object: &CanonicalJsonObject) -> Result<Unverified, Dropped> {
    Unverified::read(room.version, &room.id, &RawJson::from_value(object).unwrap())
}

#[test]
fn a_genuine_event_is_received_as_it_was_sent() {
    for version in SUPPORTED {
        let (room, mut object, event_id) = sent(version);
        let genuine = object.clone();
        object.insert("unsigned".to_owned(), serde_json::from_value(json!({ "age": 5 })).unwrap());
        let unverified = read(&room, &object).unwrap();
        assert_eq!(*unverified.event_id(), event_id);
        assert_eq!(unverified.signers().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["tern.test"]);
        let received = unverified.verify(&public_keys()).unwrap();
        assert!(!received.redacted);
        assert_eq!(*received.pdu.raw(), RawJson::from_value(&genuine).unwrap());
    }
}

#[test]
fn a_changed_content_leaves_what_redaction_leaves() {
    for version in SUPPORTED {
        let (room, mut object, event_id) = sent(version);
        object.insert("content".to_owned(), serde_json::from_value(json!({ "body": "forged" })).unwrap());
        let received = read(&room, &object).unwrap().verify(&public_keys()).unwrap();
        assert!(received.redacted);
        assert_eq!(received.pdu.body().get(), "{}");
        assert_eq!(received.pdu.id(), event_id);
    }
}

#[test]
fn a_changed_sender_is_no_longer_signed() {
    for version in SUPPORTED {
        let (room, mut object, _) = sent(version);
        object.insert("sender".to_owned(), "@mallory:tern.test".into());
        let dropped = read(&room, &object).unwrap().verify(&public_keys()).unwrap_err();
        assert!(matches!(dropped, Dropped::Signature(_)), "{dropped}");
    }
}

#[test]
fn a_key_that_nobody_knows_signs_nothing() {
    let (room, object, _) = sent(SUPPORTED[0]);
    let dropped = read(&room, &object).unwrap().verify(&PublicKeyMap::new()).unwrap_err();
    assert!(matches!(dropped, Dropped::Signature(_)), "{dropped}");
}

#[test]
fn an_event_of_another_room_is_dropped() {
    for version in SUPPORTED {
        let (room, mut object, _) = sent(version);
        object.insert("room_id".to_owned(), "!another:tern.test".into());
        assert_eq!(read(&room, &object).unwrap_err(), Dropped::OtherRoom);
    }
}

#[test]
fn what_is_not_an_event_is_dropped() {
    for version in KNOWN {
        let room_id = "!room:tern.test".try_into().unwrap();
        let whole = json!({
            "type": "m.room.message", "sender": ALICE, "room_id": "!room:tern.test", "event_id": "$x:tern.test",
            "content": {}, "depth": 1, "origin_server_ts": 1, "prev_events": [], "auth_events": [],
        });
        assert!(Unverified::read(version, room_id, &raw(&whole)).is_ok(), "version {}", version.id);
        for (field, value) in [
            ("type", Value::Null),
            ("sender", json!(5)),
            ("depth", json!(-1)),
            ("depth", json!(0.5)),
            ("state_key", json!("k".repeat(300))),
            ("prev_events", json!(vec!["$x"; 21])),
            ("auth_events", json!(vec!["$x"; 11])),
            ("content", json!({ "body": "b".repeat(70_000) })),
        ] {
            let mut broken = whole.clone();
            broken[field] = value;
            let read = Unverified::read(version, room_id, &raw(&broken));
            assert!(matches!(read, Err(Dropped::Format(_))), "version {}: {field}: {read:?}", version.id);
        }
    }
}

#[test]
fn the_first_versions_say_their_id_and_others_are_their_hash() {
    let event = json!({
        "type": "m.room.message", "sender": ALICE, "room_id": "!room:tern.test", "event_id": "$own:tern.test",
        "content": {}, "depth": 1, "origin_server_ts": 1, "prev_events": [["$a:tern.test", { "sha256": "h" }]],
        "auth_events": [],
    });
    let id = |version: &'static Version| {
        let read = Unverified::read(version, "!room:tern.test".try_into().unwrap(), &raw(&event));
        read.unwrap().event_id().to_string()
    };
    let ids: Vec<String> = KNOWN.into_iter().take(4).map(id).collect();
    assert_eq!(ids[..2], ["$own:tern.test", "$own:tern.test"]);
    assert!(ids[2].len() == 44 && ids[3].len() == 44);
}
