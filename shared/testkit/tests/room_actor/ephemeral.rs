//! Typing and receipts.

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tern_model::{EphemeralNotice, EventRef};
use tern_ports::{
    Clock as _, Sql as _,
    wire::room::{MembershipAction, ReceiptDraft, SendReceipts, SetTyping},
};

use super::scene::{ALICE, BOB, CAROL, Scene, raw, user};

#[test]
fn typing_is_told_expires_and_costs_no_row() {
    let scene = Scene::new();
    scene.ring_until_silent();
    let written = scene.host.sqlite.rows_written();
    let typing = |who: &str, ms: u64| scene.ask(SetTyping { user_id: user(who), timeout_ms: ms });
    let seen = || {
        let told = scene.told(BOB);
        let ephemeral = told.iter().flat_map(|notice| &notice.ephemeral);
        let lists = ephemeral.filter_map(|news| match news {
            EphemeralNotice::Typing(users) => Some(users.len()),
            EphemeralNotice::Receipts(_) => None,
        });
        lists.collect::<Vec<_>>()
    };
    assert_eq!(typing(CAROL, 1_000).unwrap_err().status, 403);
    typing(ALICE, 20_000).unwrap();
    typing(ALICE, 20_000).unwrap();
    scene.host.settle();
    assert_eq!(seen(), [1], "the same again is no news");
    typing(BOB, 30_000).unwrap();
    scene.host.settle();
    typing(BOB, 0).unwrap();
    scene.host.settle();
    assert_eq!(seen(), [1, 2, 1]);
    assert_eq!(scene.host.alarm.get(), Some(scene.host.now().plus(20_000)));
    assert!(scene.ring());
    assert_eq!(seen(), [1, 2, 1, 0]);
    assert_eq!(scene.host.alarm.get(), None);
    assert_eq!(scene.host.sqlite.rows_written(), written);
}

#[test]
fn typing_forgotten_in_sleep_is_ended_by_the_alarm() {
    let mut scene = Scene::new();
    scene.ring_until_silent();
    scene.ask(SetTyping { user_id: user(ALICE), timeout_ms: 30_000 }).unwrap();
    scene.evict();
    scene.around.told.borrow_mut().clear();
    assert!(scene.ring());
    assert_eq!(scene.told(BOB)[0].ephemeral, [EphemeralNotice::Typing(Vec::new())]);
}

#[test]
fn whoever_is_put_out_types_no_more() {
    let scene = Scene::new();
    scene.ring_until_silent();
    scene.ask(SetTyping { user_id: user(BOB), timeout_ms: 60_000 }).unwrap();
    scene.calm();
    scene.act(ALICE, MembershipAction::Kick, BOB).unwrap();
    scene.host.settle();
    let typing = |who: &str| {
        let told = scene.told(who);
        let news = told.iter().flat_map(|notice| &notice.ephemeral).cloned();
        news.filter(|news| matches!(news, EphemeralNotice::Typing(_))).collect::<Vec<_>>()
    };
    assert_eq!(typing(ALICE), [EphemeralNotice::Typing(Vec::new())]);
    scene.calm();
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    scene.host.settle();
    assert_eq!(typing(ALICE), [], "nor when they are back");
}

#[test]
fn a_receipt_of_another_thread_than_the_events_is_refused() {
    let scene = Scene::new();
    let root = scene.say(ALICE, "root");
    let plain = scene.say(ALICE, "plain");
    let relate = |relation: Value, txn: &str| {
        let content = json!({ "msgtype": "m.text", "body": txn, "m.relates_to": relation });
        let mut send = Scene::command(BOB, txn, txn);
        send.draft.content = raw(&content);
        scene.ask(send).unwrap().event_id
    };
    let inside = relate(json!({ "rel_type": "m.thread", "event_id": root }), "inside");
    let about_inside = relate(json!({ "rel_type": "m.reference", "event_id": inside }), "about inside");
    let about_root = relate(json!({ "rel_type": "m.reference", "event_id": root }), "about root");
    let read = |event_id: &OwnedEventId, thread_id: &str| {
        let receipt = ReceiptDraft {
            kind: "m.read".try_into().unwrap(),
            event_id: EventRef::new(event_id.clone()).unwrap(),
            thread_id: Some(thread_id.try_into().unwrap()),
        };
        let receipts = vec![receipt].try_into().unwrap();
        let answer = scene.ask(SendReceipts { user_id: user(ALICE), receipts });
        answer.map_or_else(|error| error.errcode.into_owned(), |_| "taken".to_owned())
    };
    for event_id in [&inside, &about_inside] {
        assert_eq!([read(event_id, root.as_str()), read(event_id, "main")], ["taken", "M_INVALID_PARAM"]);
    }
    for event_id in [&plain, &about_root] {
        assert_eq!([read(event_id, root.as_str()), read(event_id, "main")], ["M_INVALID_PARAM", "taken"]);
    }
    assert_eq!(read(&root, root.as_str()), "taken", "a root begins its thread");
}

#[test]
fn receipts_move_forward_only_and_are_written_together() {
    let mut scene = Scene::new();
    let (first, second) = (scene.say(ALICE, "1"), scene.say(ALICE, "2"));
    scene.host.settle();
    scene.ring_until_silent();
    scene.calm();
    let written = scene.host.sqlite.rows_written();
    let read = |scene: &Scene, who: &str, kind: &str, event_id: &OwnedEventId| {
        let event_id = EventRef::new(event_id.clone()).unwrap();
        let receipt = ReceiptDraft { kind: kind.try_into().unwrap(), event_id, thread_id: None };
        scene.ask(SendReceipts { user_id: user(who), receipts: vec![receipt].try_into().unwrap() })
    };
    read(&scene, BOB, "m.read", &first).unwrap();
    read(&scene, BOB, "m.read", &second).unwrap();
    read(&scene, BOB, "m.read", &first).unwrap();
    read(&scene, BOB, "m.read.private", &first).unwrap();
    read(&scene, BOB, "m.read", &"$unknown".try_into().unwrap()).unwrap();
    assert_eq!(read(&scene, CAROL, "m.read", &first).unwrap_err().status, 403);
    assert_eq!(read(&scene, BOB, "m.seen", &first).unwrap_err().status, 400);
    scene.host.settle();
    let receipts = |who: &str| {
        let told = scene.told(who);
        let ephemeral = told.into_iter().flat_map(|notice| notice.ephemeral);
        let all = ephemeral.flat_map(|news| match news {
            EphemeralNotice::Receipts(receipts) => receipts,
            EphemeralNotice::Typing(_) => Vec::new(),
        });
        all.map(|receipt| (receipt.kind, receipt.event_id)).collect::<Vec<_>>()
    };
    let public = vec![("m.read".to_owned(), first.clone()), ("m.read".to_owned(), second.clone())];
    assert_eq!(receipts(ALICE), public);
    assert_eq!(receipts(BOB), [public, vec![("m.read.private".to_owned(), first.clone())]].concat());
    assert_eq!(scene.host.sqlite.rows_written(), written);
    scene.ring_until_silent();
    assert_eq!(scene.host.sqlite.rows_written() - written, 2, "one row per place, seconds later");
    scene.crash();
    scene.around.told.borrow_mut().clear();
    read(&scene, BOB, "m.read", &first).unwrap();
    scene.host.settle();
    assert!(scene.told(ALICE).is_empty(), "still only forward after a restart");
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let joined = &scene.told(CAROL)[0];
    let EphemeralNotice::Receipts(current) = &joined.ephemeral[0] else { panic!("receipts come with the join") };
    assert_eq!((current.len(), &current[0].event_id), (1, &second));
}
