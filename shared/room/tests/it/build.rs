use std::collections::{BTreeMap, BTreeSet};

use ruma::{
    EventId, OwnedUserId, RoomId,
    events::StateEventType,
    serde::Base64,
    signatures::{Verified, reference_hash, verify_event},
};
use serde_json::{Value, json};
use tern_model::{MatrixError, Millis, Pdu, RawJson};
use tern_room::{
    BuildError, Draft, Extremity, KNOWN, RoomView, SUPPORTED, Signer, Unreadable, Unverified, Verdict, Version, build,
    propose,
};

use crate::{
    scene::{self, Scene},
    support::{ALICE, Room, message, object, public_keys, raw, signer, state, user},
};

#[test]
fn every_event_of_every_version_verifies_and_names_itself() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({ "preset": "public_chat", "name": "n", "topic": "t" }));
        let sent = room.send(&message(ALICE)).unwrap();
        room.send(&Draft::new(
            user(ALICE),
            "m.room.redaction".into(),
            None,
            RawJson::empty_object(),
            Some(sent.id().into()),
        ))
        .unwrap();
        for pdu in &room.events {
            let event = object(pdu);
            let verified = verify_event(&public_keys(), &event, &version.rules).unwrap();
            assert_eq!(verified, Verified::All, "{} {}", version.id, pdu.kind());
            assert_eq!(pdu.id().as_str(), format!("${}", reference_hash(&event, &version.rules).unwrap()));
            assert_eq!(pdu.raw().text(), serde_json::to_string(&event).unwrap(), "stored as canonical JSON");
        }
    }
}

#[test]
fn events_stand_on_the_extremities_and_on_their_auth_events() {
    let mut room = Room::create("11", json!({}));
    let last = room.events.last().unwrap().clone();
    let pdu = room.send(&message(ALICE)).unwrap();
    assert_eq!(pdu.prev(), [last.id().to_owned()]);
    assert_eq!(pdu.depth(), last.depth() + 1);
    assert_eq!(pdu.ts(), Millis(1_000 + room.events.len() as u64 - 1));
    let mut auth: Vec<String> =
        pdu.auth().iter().map(|id| room.events.iter().find(|e| e.id() == id).unwrap().kind().to_string()).collect();
    auth.sort();
    assert_eq!(auth, ["m.room.create", "m.room.member", "m.room.power_levels"]);

    let mut room = Room::create("12", json!({}));
    let pdu = room.send(&message(ALICE)).unwrap();
    assert_eq!(pdu.auth().len(), 2, "from room version 12 on, the room id stands for the create event");
    assert_eq!(pdu.room().unwrap(), room.id);
}

#[test]
fn at_most_twenty_previous_events_the_deepest_first() {
    struct Forked(Room);
    impl RoomView for Forked {
        fn room_id(&self) -> &RoomId {
            self.0.room_id()
        }
        fn version(&self) -> &'static Version {
            self.0.version()
        }
        fn state(&self, kind: &StateEventType, key: &str) -> Result<Option<Pdu>, Unreadable> {
            self.0.state(kind, key)
        }
        fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
            let fork = |n: u64| Extremity { event_id: format!("$fork{n}").try_into().unwrap(), depth: n };
            Ok((1..=30).map(fork).collect())
        }
        fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
            self.0.joined(limit)
        }
    }
    let room = Forked(Room::create("11", json!({})));
    let pdu = propose(&room, &message(ALICE), Millis(1), &signer()).unwrap();
    assert_eq!((pdu.prev().len(), pdu.prev()[0].as_str(), pdu.depth()), (20, "$fork30", 31));
}

#[test]
fn redacts_goes_where_the_version_wants_it() {
    for version in SUPPORTED {
        let mut room = Room::create(version.id, json!({}));
        let target = room.send(&message(ALICE)).unwrap();
        let content = raw(&json!({ "reason": "r" }));
        let draft = Draft::new(user(ALICE), "m.room.redaction".into(), None, content, Some(target.id().into()));
        let event = serde_json::to_value(object(&room.send(&draft).unwrap())).unwrap();
        let (inside, beside) = (event["content"]["redacts"].as_str(), event["redacts"].as_str());
        let expected = Some(target.id().as_str());
        match version.id {
            "11" | "12" => assert_eq!((inside, beside), (expected, None)),
            _ => assert_eq!((inside, beside), (None, expected)),
        }
    }
}

fn built(kind: &str, content: &str) -> Result<Pdu, BuildError> {
    let room = Room::create("12", json!({}));
    let draft = Draft::new(user(ALICE), kind.to_owned(), None, RawJson::parse(content.to_owned()).unwrap(), None);
    build(&room, &draft, Millis(1), &signer())
}

fn error_of(kind: &str, content: &str) -> (u16, String) {
    let error = MatrixError::from(built(kind, content).unwrap_err());
    (error.status, error.errcode.into_owned())
}

#[test]
fn content_is_canonical_json() {
    let bad = (400, "M_BAD_JSON".to_owned());
    for content in [
        r#"{"n":1.5}"#,
        r#"{"n":1.0}"#,
        r#"{"n":1e3}"#,
        r#"{"n":-0}"#,
        r#"{"n":[{"deep":9007199254740992}]}"#,
        r#"{"n":-9007199254740992}"#,
        r#"{"n":18446744073709551616}"#,
        "[]",
        "1",
        "null",
        r#""text""#,
    ] {
        assert_eq!(error_of("m.test", content), bad, "{content}");
    }
    let pdu = built("m.test", r#"{"b":9007199254740991, "a":-9007199254740991, "\u00e9":"\u0001\/"}"#).unwrap();
    assert_eq!(pdu.body().get(), "{\"a\":-9007199254740991,\"b\":9007199254740991,\"é\":\"\\u0001/\"}");
}

#[test]
fn an_event_has_at_most_65536_bytes() {
    let body = |len: usize| json!({ "body": "x".repeat(len) }).to_string();
    let overhead = built("m.test", &body(0)).unwrap().raw().text().len();
    let room = 65_536 - overhead;
    assert_eq!(built("m.test", &body(room)).unwrap().raw().text().len(), 65_536);
    assert_eq!(error_of("m.test", &body(room + 1)), (413, "M_TOO_LARGE".to_owned()));
    assert_eq!(error_of("m.test", &body(200_000)), (413, "M_TOO_LARGE".to_owned()));
    // White space and escapes of the request do not count.
    let padded = format!("{{\"body\":{}\"x\"}}", " ".repeat(70_000));
    assert!(built("m.test", &padded).is_ok());
}

#[test]
fn fields_have_at_most_255_bytes() {
    let mut room = Room::create("12", json!({}));
    let long = "é".repeat(128);
    let too_large = (413, "M_TOO_LARGE".to_owned());
    assert_eq!(room.refused(&state(ALICE, &long, "", &json!({}))), too_large);
    assert_eq!(room.refused(&state(ALICE, "m.test", &long, &json!({}))), too_large);
    let fits = "x".repeat(255);
    room.send(&state(ALICE, &fits, &fits, &json!({}))).unwrap();
}

#[test]
fn a_member_event_of_a_wrong_shape_is_bad_json() {
    let mut room = Room::create("12", json!({}));
    let bad = (400, "M_BAD_JSON".to_owned());
    assert_eq!(room.refused(&state(ALICE, "m.room.member", ALICE, &json!({}))), bad);
    assert_eq!(room.refused(&state(ALICE, "m.room.member", ALICE, &json!({ "membership": 1 }))), bad);
    let draft = Draft::new(user(ALICE), "m.room.member".into(), None, raw(&json!({ "membership": "join" })), None);
    assert_eq!(room.refused(&draft), bad);
}

#[test]
fn this_server_signs_only_for_its_users() {
    let room = Room::create("12", json!({}));
    let other = Signer::new("elsewhere.test".try_into().unwrap(), "ed25519:1", &[1; 32]).unwrap();
    assert_eq!(build(&room, &message(ALICE), Millis(1), &other).unwrap_err(), BuildError::ForeignSender);
    assert!(Signer::new("a.test".try_into().unwrap(), "ed25519:1", &[1; 31]).is_err());
    assert!(Signer::new("a.test".try_into().unwrap(), "rsa:1", &[1; 32]).is_err());
    assert!(!format!("{:?}", signer()).contains('7'), "the key is not printed");
}

#[test]
fn unreadable_state_is_ours_and_never_permission() {
    let mut room = Room::create("12", json!({}));
    room.broken = true;
    let error = MatrixError::from(room.send(&message(ALICE)).unwrap_err());
    assert_eq!((error.status, &*error.errcode), (500, "M_UNKNOWN"));
    assert!(!error.message.contains("disk"));
}

#[test]
fn the_same_draft_gives_the_same_event() {
    let room = Room::create("12", json!({}));
    let text = |_: u8| build(&room, &message(ALICE), Millis(4), &signer()).unwrap().raw().text().to_owned();
    assert_eq!(text(0), text(1));
    let later = build(&room, &message(ALICE), Millis(5), &signer()).unwrap();
    assert_ne!(later.raw().text(), text(0));
    assert_eq!(serde_json::to_value(object(&later)).unwrap()["origin_server_ts"], Value::from(5));
}

/// A room of events from elsewhere, as the next local event is built on it.
struct Seen<'a>(&'a Scene, &'a RoomId);

impl RoomView for Seen<'_> {
    fn room_id(&self) -> &RoomId {
        self.1
    }

    fn version(&self) -> &'static Version {
        self.0.version
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.0.graph.now(&kind.to_string(), state_key).cloned())
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        let extremities = self.0.graph.present.extremities.iter();
        Ok(extremities.map(|event_id| Extremity { event_id: event_id.clone(), depth: 9 }).collect())
    }

    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.0.graph.find(event_id).cloned())
    }

    fn joined(&self, _: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        Ok(Vec::new())
    }
}

#[test]
fn events_for_rooms_of_every_version_are_what_other_servers_take() {
    let signer = Signer::new("a.test".try_into().unwrap(), "ed25519:1", &[7; 32]).unwrap();
    let key = Base64::new(signer.public_key().to_vec());
    let keys = BTreeMap::from([("a.test".to_owned(), BTreeMap::from([("ed25519:1".to_owned(), key)]))]);
    let room_id = RoomId::parse("!room:a.test").unwrap();
    for version in KNOWN.into_iter().filter(|version| !version.room_id_is_create_hash()) {
        let mut scene = Scene::new(version);
        let mut ids = BTreeSet::new();
        for number in 0..3 {
            let content = raw(&json!({ "name": number.to_string() }));
            let draft = Draft::state(user(scene::MOD), "m.room.name", "", content);
            let pdu = propose(&Seen(&scene, &room_id), &draft, Millis(5), &signer).unwrap();
            let unverified = Unverified::read(version, &room_id, pdu.raw()).unwrap();
            assert_eq!(*unverified.event_id(), *pdu.id(), "version {}", version.id);
            let received = unverified.verify(&keys).unwrap();
            assert!(!received.redacted, "version {}", version.id);
            assert_eq!(scene.graph.take(&received.pdu).unwrap(), Verdict::Accept, "version {}", version.id);
            let object: Value = pdu.raw().read().unwrap();
            let references = [&object["prev_events"], &object["auth_events"]];
            for reference in references.into_iter().flat_map(|list| list.as_array().unwrap()) {
                let hashed = reference[1]["sha256"].as_str().is_some_and(|hash| hash.len() == 43);
                assert_eq!(hashed, version.event_id_in_event(), "version {}: {reference}", version.id);
            }
            assert_eq!(object["event_id"] == pdu.id().as_str(), version.event_id_in_event());
            assert!(ids.insert(pdu.id().to_owned()), "no id twice");
        }
    }
}
