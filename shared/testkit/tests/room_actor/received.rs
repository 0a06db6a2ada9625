//! What other servers send late, twice, out of order, too much of, or for another time.

use std::collections::BTreeSet;

use serde_json::json;
use tern_model::{Millis, Pdu};
use tern_ports::{
    Sql as _, ask_storage,
    wire::{
        receive::ReceiveEvents,
        room::{MembershipAction, SendEvent},
        storage::{AppendEvent, AppendEvents},
    },
};

use tern_testkit::TestClock;

use super::{
    far::{MOD, at, keys, pdu_of, results},
    scene::{ALICE, Scene},
};

const DAY: u64 = 24 * 60 * 60 * 1000;

#[test]
fn what_stands_on_a_soft_failed_event_is_judged_after_it_was_trimmed() {
    let scene = Scene::shared();
    let parted = scene.newest();
    let sql = format!("SELECT event_id, pdu FROM events WHERE state_key = '{MOD}' ORDER BY seq LIMIT 1");
    let member = pdu_of(&scene.host.sqlite.query(&sql, &[]).unwrap()[0]);
    scene.act(ALICE, MembershipAction::Ban, MOD).unwrap();
    scene.calm();
    let say = |on: &super::far::Place, text: &str| {
        let content = json!({ "body": text });
        scene.make(std::slice::from_ref(on), "m.room.message", None, &content, 2_000, vec![member.clone()])
    };
    let soft = say(&parted, "soft");
    assert_eq!(scene.take(std::slice::from_ref(&soft)), ["soft-failed"]);
    for _ in 0..2 {
        scene.pass_messages(400);
    }
    assert!(scene.count("SELECT tail FROM head") > 300);
    assert_eq!(scene.take(&[say(&at(&soft), "child")]), ["soft-failed"]);
}

#[test]
fn what_came_before_and_was_trimmed_is_not_taken_in_again() {
    let scene = Scene::shared();
    let said = scene.message(&scene.newest(), "once");
    assert_eq!(scene.take(std::slice::from_ref(&said)), ["accepted"]);
    for _ in 0..2 {
        scene.pass_messages(400);
    }
    assert_eq!(scene.count(&format!("SELECT count(*) FROM events WHERE event_id = '{}'", said.id())), 0);
    let newest = scene.probe().newest;
    assert_eq!(scene.take(std::slice::from_ref(&said)), ["accepted"]);
    assert_eq!(scene.probe().newest, newest);
    scene.say(ALICE, "on");
    scene.host.settle();
    scene.ring_until_silent();
    assert_eq!(scene.probe().forwarded, scene.probe().newest, "everything is stored");
}

#[test]
fn cited_events_are_taken_in_the_order_in_which_they_cite_each_other() {
    for seed in 0..8_u64 {
        let scene = Scene::shared();
        let (parted, depth) = scene.newest();
        let on = |event: &ruma::EventId| [(event.to_owned(), depth)];
        // Both claim the same depth, as all events do where depth has reached the greatest number.
        let levels = |default: u64| json!({ "users": { ALICE: 100, MOD: 90 }, "state_default": default, "n": seed });
        let power = "m.room.power_levels";
        let first = scene.make(&on(&parted), power, Some(""), &levels(40), 3_000, Vec::new());
        let second = scene.make(&on(first.id()), power, Some(""), &levels(30), 4_000, vec![first.clone()]);
        let content = json!({ "body": "cites the second" });
        let event = scene.make(&on(&parted), "m.room.message", None, &content, 5_000, vec![second.clone()]);
        let receipts = scene.receive(&[event], &[second, first]).unwrap();
        // It cites what does not hold where it stands; what it cites is known all the same.
        assert_ne!(results(&receipts), ["missing 1"], "seed {seed}");
        assert_eq!(scene.count("SELECT count(*) FROM aside WHERE verdict = 'cited'"), 2, "seed {seed}");
    }
}

#[test]
fn a_cited_event_waits_for_an_event_of_the_same_request() {
    let scene = Scene::shared();
    let (parted, depth) = scene.newest();
    let levels = |default: u64| json!({ "users": { ALICE: 100, MOD: 90 }, "state_default": default });
    let power = "m.room.power_levels";
    let here = scene.make(&[(parted.clone(), depth)], power, Some(""), &levels(40), 3_000, Vec::new());
    let there = scene.make(&[at(&here)], power, Some(""), &levels(30), 4_000, vec![here.clone()]);
    let receipts = scene.receive(std::slice::from_ref(&here), std::slice::from_ref(&there)).unwrap();
    assert_eq!(results(&receipts), ["accepted"]);
    assert_eq!(scene.count("SELECT count(*) FROM aside WHERE verdict = 'cited'"), 1);
}

#[test]
fn cited_events_are_forgotten_when_they_are_too_many_and_nobody_cites_them() {
    let scene = Scene::shared();
    let parted = scene.newest();
    let big = "x".repeat(40_000);
    for round in 0..3_u64 {
        let junk = |number: u64| {
            let (key, content) = (format!("{round}.{number}"), json!({ "body": big }));
            scene.make(std::slice::from_ref(&parted), "org.example.junk", Some(&key), &content, 6_000, Vec::new())
        };
        let junk: Vec<Pdu> = (0..150).map(junk).collect();
        let event = scene.message(&parted, &round.to_string());
        assert_eq!(results(&scene.receive(&[event], &junk).unwrap()), ["accepted"]);
    }
    let kept = "SELECT coalesce(sum(length(pdu)), 0) FROM aside";
    assert!(scene.count(kept) <= 4 * 1024 * 1024, "{}", scene.count(kept));
}

#[test]
fn an_event_from_the_future_is_trimmed_like_any_other() {
    let scene = Scene::shared();
    let mut late: SendEvent = Scene::command(ALICE, "from the future", "future");
    late.ts = Some(Millis(253_402_300_799_000));
    scene.ask(late).unwrap();
    for _ in 0..3 {
        scene.pass_messages(400);
    }
    let kept = scene.count("SELECT count(*) FROM events WHERE kind = 'm.room.message'");
    assert!(kept < 700, "{kept}");
    assert_eq!(scene.count("SELECT count(*) FROM events WHERE pdu LIKE '%from the future%'"), 0);
}

#[test]
fn a_late_event_on_the_far_side_of_many_changes_is_taken_in() {
    let scene = Scene::shared();
    let parted = scene.newest();
    let long = "k".repeat(230);
    for number in 0..3_700 {
        let (kind, key) = (format!("org.example.{long}"), format!("{number}.{}", "s".repeat(230)));
        scene.set(ALICE, &kind, &key, &json!({})).unwrap();
    }
    scene.host.settle();
    let late = scene.message(&parted, "late");
    assert_eq!(scene.take(std::slice::from_ref(&late)), ["accepted"]);
    assert_eq!(scene.take(&[scene.message(&at(&late), "later")]), ["accepted"]);
    scene.say(ALICE, "on");
}

#[test]
fn an_event_id_of_another_room_holds_neither_room_back() {
    let scene = Scene::shared();
    scene.say(ALICE, "x");
    scene.host.settle();
    let row = &scene.host.sqlite.query("SELECT event_id, pdu FROM events ORDER BY seq DESC LIMIT 1", &[]).unwrap()[0];
    let pdu = pdu_of(row);
    let mut ids = BTreeSet::new();
    for number in 0..8 {
        let event = tern_model::StoredEvent {
            seq: tern_model::RoomSeq(1),
            event_id: "$same:far.test".try_into().unwrap(),
            kind: "m.room.message".to_owned(),
            sender: MOD.to_owned(),
            state_key: None,
            ts: Millis(1),
            pdu: pdu.raw().clone(),
            unsigned: None,
            txn: None,
        };
        let append = AppendEvent { event, is_state: false, redaction: None, resolutions: Vec::new() };
        let room_id: ruma::OwnedRoomId = format!("!other{number}:x").as_str().try_into().unwrap();
        let (events, room_version) = (vec![append], "1".to_owned());
        let ask = AppendEvents { room_id: room_id.clone(), room_version, events, facts: None };
        let appended = scene.host.run(ask_storage(&*scene.host, ask)).unwrap();
        assert_eq!(appended.through.0, 1);
        let user_id = ALICE.try_into().unwrap();
        let (after, until) = (tern_model::RoomSeq(0), tern_model::RoomSeq(1));
        let page = tern_ports::wire::storage::PageEvents { room_id, user_id, after, until, backwards: false, limit: 1 };
        let page = scene.host.run(ask_storage(&*scene.host, page)).unwrap();
        assert!(page.events[0].event_id.as_str().ends_with(":far.test"));
        ids.insert((number, page.events[0].event_id.clone()));
    }
    assert_eq!(ids.len(), 8);
}

#[test]
fn what_a_server_may_send_is_limited() {
    let scene = Scene::shared();
    let said = scene.message(&scene.newest(), "known");
    assert_eq!(scene.take(std::slice::from_ref(&said)), ["accepted"]);
    // Bytes in all, and of one event.
    let large = "x".repeat(66_000);
    let bloated = |number: u64| tern_model::RawJson::from_value(&json!({ "n": number, "junk": large })).unwrap();
    let ask = |count: u64| ReceiveEvents {
        outliers: (0..count).map(bloated).collect(),
        ..Scene::receiving(std::slice::from_ref(&said), &[])
    };
    assert_eq!(scene.ask(ask(200)).unwrap_err().status, 413);
    assert_eq!(results(&scene.ask(ask(2)).unwrap()), ["accepted"]);
    // A key id that stands for two keys.
    let mut twice = Scene::receiving(std::slice::from_ref(&said), &[]);
    let mut other = keys().remove(0);
    other.key_id.clone_from(&twice.keys[1].key_id);
    other.server_name = twice.keys[1].server_name.clone();
    twice.keys.push(other);
    assert_eq!(scene.ask(twice).unwrap_err().status, 400);
    // More than its share.
    let refused = (0..200).find_map(|_| scene.receive(&vec![said.clone(); 50], &[]).err()).unwrap();
    assert_eq!((refused.status, &*refused.errcode), (429, "M_LIMIT_EXCEEDED"));
    scene.host.clock.advance(DAY);
    assert_eq!(scene.take(&[said])[0], "accepted");
}

#[test]
fn signatures_are_checked_of_what_is_new_and_by_keys_that_were_valid() {
    let scene = Scene::shared();
    let said = scene.message(&scene.newest(), "said");
    let with = |valid_until: Option<Millis>, event: &Pdu| {
        let mut ask = Scene::receiving(std::slice::from_ref(event), &[]);
        ask.keys.iter_mut().for_each(|key| key.valid_until = valid_until);
        results(&scene.ask(ask).unwrap()).remove(0)
    };
    let refused = "dropped: not signed by who must sign it";
    for valid_until in [None, Some(Millis(1_000))] {
        assert!(with(valid_until, &said).starts_with(refused), "{valid_until:?}");
    }
    assert_eq!(with(Some(Millis(2_000)), &said), "accepted");
    // It is known: nobody asks for keys again.
    assert_eq!(with(None, &said), "accepted");
    // A server that says its keys are good for ever is believed a week ahead.
    let ahead = TestClock::START.0 + 8 * DAY;
    let content = json!({ "body": "future" });
    let future = scene.make(&[at(&said)], "m.room.message", None, &content, ahead, Vec::new());
    assert!(with(Some(Millis(1 << 52)), &future).starts_with(refused));
}
