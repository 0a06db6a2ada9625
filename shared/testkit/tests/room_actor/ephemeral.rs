//! Typing and receipts.

use std::{cell::RefCell, rc::Rc};

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tern_model::{EphemeralNotice, EventRef, Millis};
use tern_ports::{
    Clock as _, Sql as _,
    wire::{
        DestinationCommand, Done,
        ephemeral::{ReadReceipt, ReceiveEphemeral, SendEphemeral, Typist},
        frame,
        room::{MembershipAction, ReceiptDraft, SendReceipts, SetTyping},
    },
};

use super::{
    far::MOD,
    scene::{ALICE, BOB, CAROL, Scene, raw, user},
};

const FAR: &str = "far.test";

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

fn typist(who: &str, typing: bool) -> Typist {
    Typist { user_id: user(who), typing }
}

fn read_of(who: &str, event_id: &OwnedEventId) -> ReadReceipt {
    let event_id = EventRef::new(event_id.clone()).unwrap();
    ReadReceipt { user_id: user(who), event_id, thread_id: None, ts: Millis(7) }
}

fn receive(scene: &Scene, origin: &str, typing: Vec<Typist>, receipts: Vec<ReadReceipt>) -> u16 {
    let (typing, receipts) = (typing.try_into().unwrap(), receipts.try_into().unwrap());
    let asked = scene.ask(ReceiveEphemeral { origin: origin.try_into().unwrap(), typing, receipts });
    scene.host.settle();
    asked.map_or_else(|error| error.status, |_| 200)
}

/// What members hear: who types, and whose receipts.
fn heard(scene: &Scene, who: &str) -> Vec<Vec<String>> {
    let news = scene.told(who).into_iter().flat_map(|notice| notice.ephemeral);
    let heard = news.map(|news| match news {
        EphemeralNotice::Typing(users) => users.iter().map(ToString::to_string).collect(),
        EphemeralNotice::Receipts(receipts) => receipts.iter().map(|receipt| receipt.event_id.to_string()).collect(),
    });
    heard.collect()
}

#[test]
fn what_another_server_says_of_its_users_is_told_here_and_goes_no_further() {
    let scene = Scene::shared();
    let event_id = scene.say(ALICE, "read me");
    scene.host.settle();
    scene.ring_until_silent();
    scene.calm();
    assert_eq!(receive(&scene, FAR, vec![typist(MOD, true), typist("@stranger:far.test", true)], Vec::new()), 200);
    assert_eq!(heard(&scene, ALICE), [[MOD.to_owned()]]);
    // Nothing more is heard of it: it ends by the clock.
    scene.ring_until_silent();
    assert_eq!(heard(&scene, ALICE).last(), Some(&Vec::new()));
    let unknown = "$unknown".try_into().unwrap();
    let receipts = vec![read_of(MOD, &unknown), read_of(MOD, &event_id), read_of("@stranger:far.test", &event_id)];
    scene.calm();
    assert_eq!(receive(&scene, FAR, Vec::new(), receipts), 200);
    assert_eq!(heard(&scene, BOB), [[event_id.to_string()]]);
    // Where the server is kept out, and where the room is none, nothing is heard.
    scene.set(ALICE, "m.room.server_acl", "", &json!({ "allow": ["*"], "deny": [FAR] })).unwrap();
    scene.calm();
    assert_eq!(receive(&scene, FAR, vec![typist(MOD, true)], Vec::new()), 403);
    assert_eq!(heard(&scene, ALICE), Vec::<Vec<String>>::new());
}

#[test]
fn other_servers_hear_of_typing_at_once_and_of_public_receipts_together() {
    let scene = Scene::shared();
    let (first, second) = (scene.say(ALICE, "1"), scene.say(ALICE, "2"));
    scene.host.settle();
    scene.ring_until_silent();
    let told = Rc::<RefCell<Vec<SendEphemeral>>>::default();
    let hears = Rc::clone(&told);
    scene.around.servers.replace(Some(Rc::new(move |server: &str, command| {
        assert_eq!(server, FAR);
        let DestinationCommand::SendEphemeral(news) = command else { panic!("{}", command.name()) };
        hears.borrow_mut().push(*news);
        frame::write_reply(&Ok(Done {}))
    })));
    let typing = || {
        scene.host.settle();
        told.take().into_iter().flat_map(|news| news.typing).collect::<Vec<_>>()
    };
    let types = |ms: u64| scene.ask(SetTyping { user_id: user(BOB), timeout_ms: ms }).map(|_| ()).unwrap();
    types(0);
    assert_eq!(typing(), [], "nothing ends that did not begin");
    types(30_000);
    types(30_000);
    assert_eq!(typing(), [typist(BOB, true), typist(BOB, true)], "or it would be forgotten there");
    types(0);
    assert_eq!(typing(), [typist(BOB, false)]);
    types(30_000);
    scene.ring_until_silent();
    assert_eq!(typing(), [typist(BOB, true), typist(BOB, false)], "who falls silent has stopped");
    let read = |who: &str, kind: &str, event_id: &OwnedEventId| {
        let event_id = EventRef::new(event_id.clone()).unwrap();
        let receipt = ReceiptDraft { kind: kind.try_into().unwrap(), event_id, thread_id: None };
        scene.ask(SendReceipts { user_id: user(who), receipts: vec![receipt].try_into().unwrap() }).unwrap();
    };
    read(BOB, "m.read", &first);
    read(BOB, "m.read", &second);
    read(CAROL, "m.read.private", &second);
    assert_eq!(receive(&scene, FAR, Vec::new(), vec![read_of(MOD, &second)]), 200);
    scene.ring_until_silent();
    scene.host.settle();
    let told: Vec<_> = told.take().into_iter().flat_map(|news| news.receipts).collect();
    let told: Vec<_> = told.iter().map(|receipt| (receipt.user_id.as_str(), receipt.event_id.to_string())).collect();
    assert_eq!(told, [(BOB, second.to_string())]);
}
