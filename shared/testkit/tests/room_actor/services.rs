//! Application services are told of the rooms that concern them, and read what is theirs to know.

use std::{cell::RefCell, rc::Rc};

use serde_json::{Value, json};
use tern_model::{Accounts, Bounded, Config, RoomSeq};
use tern_ports::wire::{
    DestinationCommand, Done,
    directory::NoteAlias,
    frame,
    room::{MembershipAction, ReceiptDraft, SendReceipts, SetTyping},
    server_reads::{OutgoingEvents, ReadOutgoing},
};
use tern_testkit::TestClock;

use super::{
    around::Around,
    scene::{ALICE, BOB, Scene, body, config, creation, user},
};

const GHOST: &str = "@_irc_anna:tern.test";
const BOT: &str = "@ircbot:tern.test";

fn registration(id: &str, users: &str, rooms: &Value) -> Value {
    json!({
        "id": id, "url": "http://127.0.0.1:9", "as_token": "0123456789abcdef", "hs_token": "0123456789abcdef",
        "sender_localpart": format!("{id}bot"),
        "namespaces": { "users": [{ "exclusive": true, "regex": users }], "rooms": rooms },
    })
}

fn with_services(services: &Value) -> Rc<Config> {
    let appservices = serde_json::from_value(services.clone()).unwrap();
    let accounts = Accounts { appservices, ..Accounts::default() };
    Rc::new(Config { accounts, ..Rc::unwrap_or_clone(config()) })
}

fn irc() -> Value {
    json!([registration("irc", "@_irc_.*", &json!([]))])
}

/// Alice's public room on a server with these services.
fn room(services: &Value) -> Scene {
    let config = with_services(services);
    let (room_id, create) = creation(&config, &json!({ "preset": "public_chat", "name": "Nest" }), TestClock::START, 1);
    let mut scene = Scene::empty(Around::new(), room_id);
    scene.config = config;
    scene.replace(Rc::clone(&scene.host));
    scene.ask(create).unwrap();
    scene.calm();
    scene.around.enqueued.take();
    scene
}

impl Scene {
    fn told_services(&self) -> Vec<(String, u64, u64)> {
        self.host.settle();
        self.around.enqueued.take()
    }

    fn newest_seq(&self) -> u64 {
        self.probe().newest.0
    }
}

fn asking(from: u64, limit: u32) -> ReadOutgoing {
    ReadOutgoing {
        server: "tern.test".try_into().unwrap(),
        service: Some(Bounded::cut("irc")),
        from: RoomSeq(from),
        until: None,
        limit,
        max_bytes: 512 << 10,
    }
}

fn read(scene: &Scene, from: u64, limit: u32) -> OutgoingEvents {
    scene.ask(asking(from, limit)).unwrap()
}

/// All of the room that the service may read, as far as it goes.
fn read_all(scene: &Scene) -> Vec<String> {
    let (mut from, mut all) = (1, Vec::new());
    while from <= scene.newest_seq() {
        let page = read(scene, from, 100);
        assert!(page.through.0 >= from && page.events.len() <= 100);
        from = page.through.0 + 1;
        all.extend(said(&page));
    }
    all
}

/// Bodies of messages, and memberships.
fn said(outgoing: &OutgoingEvents) -> Vec<String> {
    let said = |event: Value| {
        assert!(event["room_id"].is_string() && event["event_id"].is_string(), "client form: {event}");
        assert_eq!(event["unsigned"]["transaction_id"], Value::Null);
        let content = &event["content"];
        content["body"].as_str().or_else(|| content["membership"].as_str()).unwrap_or_default().to_owned()
    };
    outgoing.events.iter().map(|event| said(body(event))).collect()
}

fn told(at: u64) -> Vec<(String, u64, u64)> {
    vec![("appservice irc".to_owned(), at, at)]
}

#[test]
fn a_service_hears_of_a_room_from_when_its_user_comes_until_it_goes() {
    let scene = room(&irc());
    scene.say(ALICE, "before");
    assert!(scene.told_services().is_empty());
    let before = scene.newest_seq();
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    assert_eq!(scene.told_services(), told(before + 1));
    scene.say(ALICE, "hello");
    assert_eq!(scene.told_services(), told(before + 2));
    scene.say(GHOST, "own");
    scene.act(BOT, MembershipAction::Join, BOT).unwrap();
    scene.act(GHOST, MembershipAction::Leave, GHOST).unwrap();
    scene.say(ALICE, "the bot is here");
    scene.told_services();
    scene.act(ALICE, MembershipAction::Kick, BOT).unwrap();
    assert_eq!(scene.told_services().last(), told(before + 7).last());
    scene.say(ALICE, "after");
    assert!(scene.told_services().is_empty());
    let expected = ["join", "hello", "own", "join", "leave", "the bot is here", "leave"];
    assert_eq!(read_all(&scene), expected);
    let all = read(&scene, 1, 100);
    assert!(!all.joined && all.through == all.newest);
    assert!(read(&scene, before + 1, 100).through.0 == before + 8);
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    assert_eq!(scene.told_services(), told(before + 9));
    assert!(read(&scene, before + 9, 100).joined);
}

#[test]
fn an_invite_comes_with_what_the_user_is_shown_and_nothing_else_does() {
    let scene = room(&irc());
    scene.act(ALICE, MembershipAction::Invite, GHOST).unwrap();
    assert_eq!(scene.told_services(), told(scene.newest_seq()));
    let invites = read(&scene, 1, 100);
    assert_eq!(said(&invites), ["invite"]);
    let shown = body(&invites.events[0])["unsigned"]["invite_room_state"].as_array().unwrap().clone();
    let name = shown.iter().find(|event| event["type"] == "m.room.name").unwrap();
    assert_eq!(name["content"]["name"], "Nest");
    scene.say(ALICE, "among us");
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    assert!(scene.told_services().is_empty() && !read(&scene, 1, 100).joined);
    scene.act(GHOST, MembershipAction::Leave, GHOST).unwrap();
    assert_eq!(scene.told_services(), told(scene.newest_seq()));
    assert_eq!(read_all(&scene), ["invite", "leave"]);
}

#[test]
fn a_room_of_a_namespace_concerns_the_service_whoever_is_in_it() {
    let scene = room(&json!([registration("irc", "@_irc_.*", &json!([{ "exclusive": false, "regex": "!.*" }]))]));
    scene.say(ALICE, "one");
    assert_eq!(scene.told_services(), told(scene.newest_seq()));
    let all = read(&scene, 1, 100);
    assert_eq!((all.events.len() as u64, all.joined), (scene.newest_seq(), true), "from its creation on");
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    scene.act(GHOST, MembershipAction::Leave, GHOST).unwrap();
    assert!(read(&scene, 1, 100).joined);
}

#[test]
fn an_object_that_cannot_be_told_is_told_later_and_a_crash_forgets_nobody() {
    let mut scene = room(&irc());
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    scene.told_services();
    scene.around.out.borrow_mut().insert("appservice irc".to_owned());
    let first = scene.newest_seq() + 1;
    scene.say(ALICE, "one");
    scene.say(ALICE, "two");
    assert!(scene.told_services().is_empty());
    assert_eq!(scene.probe().announced, scene.probe().newest, "nobody else is held up");
    scene.crash();
    scene.around.out.borrow_mut().clear();
    scene.say(ALICE, "three");
    scene.ring_until_silent();
    let enqueued = scene.told_services();
    // After a crash what was told before may be told again.
    assert!(enqueued.iter().map(|(_, from, _)| *from).min().is_some_and(|from| from <= first), "{enqueued:?}");
    assert_eq!(enqueued.iter().map(|(_, _, until)| *until).max(), Some(first + 2));
    assert_eq!(scene.count("SELECT count(*) FROM laggards"), 0);
}

#[test]
fn other_registrations_have_the_room_looked_at_anew() {
    let mut scene = room(&json!([]));
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    scene.say(ALICE, "before");
    assert_eq!(scene.count("SELECT count(*) FROM registrations"), 0, "without services nothing is written");
    let before = scene.newest_seq();
    scene.ring_until_silent();
    scene.config = with_services(&irc());
    scene.evict();
    scene.say(ALICE, "hello");
    assert_eq!(scene.told_services(), told(before + 1));
    assert_eq!(read_all(&scene).last().unwrap(), "hello");
    // Another service takes its place.
    scene.ring_until_silent();
    scene.config = with_services(&json!([registration("xmpp", "@_xmpp_.*", &json!([]))]));
    scene.evict();
    scene.say(ALICE, "nobody's");
    assert!(scene.told_services().is_empty());
    assert_eq!(scene.count("SELECT count(*) FROM services"), 0);
}

#[test]
fn what_is_not_in_the_room_any_more_comes_from_the_storage_worker_in_the_same_order() {
    let mut scene = room(&irc());
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    let expected: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    for (number, text) in expected.iter().enumerate() {
        scene.say(if number % 3 == 0 { GHOST } else { ALICE }, text);
    }
    scene.ring_until_silent();
    scene.host.clock.advance(60 * 60 * 1_000);
    scene.say(ALICE, "last");
    scene.ring_until_silent();
    scene.evict();
    assert!(scene.count("SELECT count(*) FROM events") < 300);
    let all = read_all(&scene);
    assert_eq!((all[0].as_str(), all[1..401].to_vec()), ("join", expected));
    let ask = ReadOutgoing { max_bytes: 1, ..asking(1, 100) };
    let one = scene.ask(ask).unwrap();
    assert_eq!((one.events.len(), said(&one)), (1, vec!["join".to_owned()]), "a single one always fits");
}

#[test]
fn of_many_ghosts_none_is_told_what_the_service_is_told() {
    let scene = room(&irc());
    for number in 0..30 {
        let ghost = format!("@_irc_{number}:tern.test");
        scene.around.idle.borrow_mut().insert(ghost.clone());
        scene.act(&ghost, MembershipAction::Join, &ghost).unwrap();
    }
    scene.calm();
    scene.say(ALICE, "the last that they are told");
    scene.calm();
    scene.around.enqueued.take();
    scene.say(ALICE, "hello");
    assert_eq!(scene.told_services(), told(scene.newest_seq()));
    let told: Vec<_> = scene.around.told.borrow().iter().map(|(user_id, _)| user_id.to_string()).collect();
    assert_eq!(told, [ALICE]);
    // Their own membership is told, and somebody who listens as one of them is told the rest again.
    scene.calm();
    scene.act("@_irc_3:tern.test", MembershipAction::Leave, "@_irc_3:tern.test").unwrap();
    scene.host.settle();
    assert_eq!(scene.told("@_irc_3:tern.test").len(), 1);
    assert!(scene.told("@_irc_4:tern.test").is_empty());
}

#[test]
fn a_service_that_wants_it_hears_of_typing_and_of_receipts_that_everybody_may_see() {
    let mut registration = registration("irc", "@_irc_.*", &json!([]));
    registration["receive_ephemeral"] = json!(true);
    let scene = room(&json!([registration]));
    let heard = Rc::<RefCell<Vec<Value>>>::default();
    let told = Rc::clone(&heard);
    scene.around.servers.replace(Some(Rc::new(move |_, command| {
        let DestinationCommand::EnqueueEphemeral(ask) = command else { panic!("{command:?}") };
        told.borrow_mut().extend(ask.events.iter().map(body));
        frame::write_reply(&Ok(Done {}))
    })));
    scene.ask(SetTyping { user_id: user(ALICE), timeout_ms: 5_000 }).unwrap();
    scene.calm();
    assert!(heard.take().is_empty(), "the room does not concern it");
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    let said = scene.say(GHOST, "hello");
    scene.ask(SetTyping { user_id: user(ALICE), timeout_ms: 0 }).unwrap();
    scene.calm();
    let typing = heard.take();
    let expected = json!({ "type": "m.typing", "room_id": scene.room_id, "content": { "user_ids": [] } });
    assert_eq!(typing, [expected]);
    for kind in ["m.read.private", "m.read"] {
        let receipt = ReceiptDraft {
            kind: kind.try_into().unwrap(),
            event_id: said.as_str().try_into().unwrap(),
            thread_id: None,
        };
        scene.ask(SendReceipts { user_id: user(ALICE), receipts: vec![receipt].try_into().unwrap() }).unwrap();
        scene.calm();
    }
    let receipts = heard.take();
    assert_eq!(receipts.len(), 1);
    assert!(receipts[0]["content"][said.as_str()]["m.read"][ALICE]["ts"].is_u64());
}

#[test]
fn a_room_with_an_alias_of_a_namespace_concerns_the_service_while_it_has_it() {
    let mut registration = registration("irc", "@_irc_.*", &json!([]));
    registration["namespaces"]["aliases"] = json!([{ "exclusive": true, "regex": "#irc_.*" }]);
    let mut scene = room(&json!([registration]));
    let note = |scene: &Scene, present| {
        scene.ask(NoteAlias { alias: "#irc_nest:tern.test".try_into().unwrap(), present }).unwrap();
    };
    scene.say(ALICE, "before");
    note(&scene, true);
    scene.say(ALICE, "one");
    assert_eq!(scene.told_services(), told(scene.newest_seq()));
    scene.act(GHOST, MembershipAction::Join, GHOST).unwrap();
    scene.act(GHOST, MembershipAction::Leave, GHOST).unwrap();
    scene.evict();
    scene.say(ALICE, "two");
    scene.told_services();
    note(&scene, false);
    scene.say(ALICE, "after");
    assert!(scene.told_services().is_empty());
    assert_eq!(read_all(&scene), ["one", "join", "leave", "two"]);
}
