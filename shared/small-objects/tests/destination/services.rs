//! What an application service is sent: all of it, in order, however it answers.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use ruma::{OwnedRoomId, room_id};
use serde_json::{Value, json};
use tern_model::{Accounts, Config, RawJson, RoomSeq};
use tern_ports::{
    Sql,
    outbound::{HttpError, HttpMethod},
    wire::{
        destination::{DestinationProbe, EnqueueEvents, ProbeDestination, WakeDestination},
        frame,
        server_reads::OutgoingEvents,
    },
};
use tern_testkit::web::Page;

use crate::{
    queue::{Rooms, page, room},
    support::{NEVER, Scene},
};

const MINUTE: u64 = 60_000;
const PATH: &str = "/_matrix/app/v1/transactions/";

fn config(id: &str) -> Config {
    let service = json!({
        "id": id, "url": "https://bridge.example/base/", "as_token": "as", "hs_token": "secret", "sender_localpart": "bot",
        "namespaces": { "users": [{ "exclusive": true, "regex": "@_irc_.*" }] },
    });
    let appservices = serde_json::from_value(json!([service])).unwrap();
    Config { accounts: Accounts { appservices, ..Accounts::default() }, ..tern_testkit::world::config() }
}

/// A transaction as it reached the service: its path, and the positions in it.
type Sent = Rc<RefCell<Vec<(String, Vec<u64>)>>>;
type Script = Rc<RefCell<VecDeque<Result<Page, HttpError>>>>;

struct Bridge {
    scene: Scene,
    rooms: Rc<Rooms>,
    sent: Sent,
    answers: Script,
}

impl Bridge {
    fn new() -> Self {
        let scene = Scene::of_service("irc", config("irc"));
        let (rooms, sent, answers) = (Rc::<Rooms>::default(), Sent::default(), Script::default());
        let hub = Rc::clone(&rooms);
        scene.host.rooms.replace(Some(Rc::new(move |target, bytes| hub.answer(target, bytes))));
        let (heard, script) = (Rc::clone(&sent), Rc::clone(&answers));
        scene.peer(move |request| {
            let path = request.url.path().strip_prefix("/base").unwrap().to_owned();
            assert_eq!(
                (request.method, request.url.origin().ascii_serialization()),
                (HttpMethod::Put, "https://bridge.example".to_owned())
            );
            assert!(request.headers.contains(&("authorization".to_owned(), "Bearer secret".to_owned())));
            let legacy = !path.starts_with(PATH);
            assert_eq!(request.url.query(), legacy.then_some("access_token=secret"));
            let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
            assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["events"]);
            let events = body["events"].as_array().unwrap().iter().map(|event| event["at"].as_u64().unwrap()).collect();
            heard.borrow_mut().push((path, events));
            Some(script.borrow_mut().pop_front().unwrap_or_else(|| page(200)))
        });
        Self { scene, rooms, sent, answers }
    }

    fn answers(&self, answers: impl IntoIterator<Item = Result<Page, HttpError>>) {
        self.answers.borrow_mut().extend(answers);
    }

    fn happens(&self, room_id: &OwnedRoomId, from: u64, until: u64) {
        self.rooms.grow(room_id, until);
        let ask = EnqueueEvents { room_id: room_id.clone(), from: RoomSeq(from), until: RoomSeq(until) };
        let reply = self.scene.host.executor.run(self.scene.actor.handle(ask.into()));
        frame::read_reply::<Value>(&reply).unwrap();
        self.scene.host.executor.settle();
    }

    fn wake(&self) {
        self.scene.host.executor.run(self.scene.actor.handle(WakeDestination {}.into()));
        self.scene.host.executor.settle();
    }

    fn probe(&self) -> DestinationProbe {
        let reply = self.scene.host.executor.run(self.scene.actor.handle(ProbeDestination {}.into()));
        frame::read_reply(&reply).unwrap()
    }

    fn take(&self) -> Vec<(String, Vec<u64>)> {
        self.sent.take()
    }
}

#[test]
fn events_arrive_in_order_once_under_ids_that_never_come_again() {
    let mut bridge = Bridge::new();
    bridge.happens(&room(), 3, 3);
    bridge.happens(&room(), 3, 3);
    bridge.happens(&room(), 4, 5);
    bridge.scene.pass(1);
    bridge.scene.crash();
    bridge.happens(&room(), 3, 6);
    let sent = bridge.take();
    assert_eq!(sent.iter().map(|(_, events)| events.clone()).collect::<Vec<_>>(), [vec![3], vec![4, 5], vec![6]]);
    let mut ids: Vec<_> = sent.iter().map(|(path, _)| path.clone()).collect();
    assert!(ids.iter().all(|path| path.starts_with(PATH)));
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn whatever_a_service_fails_with_it_is_sent_the_same_again_and_soon() {
    let html = Ok(Page { status: 500, ..Page::of("text/html", "<html>") });
    for failure in [page(500), page(429), page(401), page(403), Err(HttpError::Late), Err(HttpError::Redirected), html]
    {
        let bridge = Bridge::new();
        bridge.answers((0..3).map(|_| failure.clone()));
        bridge.happens(&room(), 1, 2);
        bridge.happens(&room(), 3, 4);
        // After a second, two and four, a fifth more or less.
        bridge.scene.pass(8_600);
        let sent = bridge.take();
        let events: Vec<_> = sent.iter().map(|(_, events)| events.len()).collect();
        assert_eq!(events, [2, 2, 2, 2, 2], "{failure:?}");
        assert_eq!(sent[0], sent[3], "{failure:?}");
        assert_ne!(sent[3].0, sent[4].0, "{failure:?}");
    }
    // A success need not be JSON.
    let bridge = Bridge::new();
    bridge.answers([Ok(Page::of("text/plain", "OK"))]);
    bridge.happens(&room(), 1, 1);
    bridge.scene.pass(MINUTE);
    assert_eq!(bridge.take().len(), 1);
}

#[test]
fn a_crash_before_or_after_the_answer_repeats_under_the_same_id() {
    let mut bridge = Bridge::new();
    bridge.answers([Err(NEVER)]);
    bridge.happens(&room(), 1, 2);
    bridge.scene.crash();
    bridge.scene.pass(MINUTE);
    let sent = bridge.take();
    assert_eq!((sent.len(), &sent[0]), (2, &sent[1]));
    bridge.scene.crash();
    bridge.happens(&room(), 1, 2);
    bridge.scene.pass(MINUTE);
    assert!(bridge.take().is_empty());
}

#[test]
fn ten_thousand_events_of_an_outage_arrive_in_order_a_hundred_at_a_time() {
    let mut bridge = Bridge::new();
    let other = room_id!("!s:tern.test").to_owned();
    bridge.answers((0..200).map(|_| page(502)));
    bridge.happens(&room(), 1, 1);
    bridge.scene.pass(3 * 60 * MINUTE);
    let rows = bridge.scene.host.sqlite.rows_written();
    bridge.happens(&other, 1, 1);
    for seq in (2..=10_000).step_by(7) {
        bridge.happens(&room(), seq, (seq + 6).min(10_000));
    }
    assert_eq!(bridge.scene.host.sqlite.rows_written() - rows, 1, "one row for each room with something");
    bridge.scene.crash();
    bridge.answers.borrow_mut().clear();
    bridge.take();
    // It is started again, and says so.
    bridge.wake();
    let sent = bridge.take();
    let arrived: Vec<u64> = sent.iter().flat_map(|(_, events)| events.clone()).collect();
    let here: Vec<u64> = arrived.iter().copied().filter(|at| *at > 1).collect();
    assert_eq!(here, (2..=10_000).collect::<Vec<_>>());
    assert_eq!(arrived.len() - here.len(), 2, "the one that was in flight, and the other room's");
    assert!(sent.iter().all(|(_, events)| events.len() <= 100));
    assert!(sent.len() < 120, "{}", sent.len());
    assert_eq!(bridge.probe().rooms, 0);
}

#[test]
fn what_is_too_much_is_halved_and_a_single_event_is_given_up_after_more_than_ten_minutes() {
    let bridge = Bridge::new();
    let sent = Rc::clone(&bridge.sent);
    bridge.scene.peer(move |request| {
        let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
        let events: Vec<_> =
            body["events"].as_array().unwrap().iter().map(|event| event["at"].as_u64().unwrap()).collect();
        let refused = events.contains(&5);
        if !refused {
            sent.borrow_mut().push((String::new(), events));
        }
        Some(page(if refused { 413 } else { 200 }))
    });
    bridge.happens(&room(), 1, 20);
    bridge.scene.pass(8 * MINUTE);
    assert_eq!((bridge.probe().refused, bridge.probe().rooms), (0, 1), "people may still mend it");
    bridge.scene.pass(12 * MINUTE);
    let expected: Vec<u64> = (1..=20).filter(|at| *at != 5).collect();
    let arrived: Vec<_> = bridge.take().into_iter().flat_map(|(_, events)| events).collect();
    assert_eq!(arrived, expected);
    assert_eq!((bridge.probe().refused, bridge.probe().rooms), (1, 0));
}

#[test]
fn a_service_of_long_ago_is_found_at_the_path_of_then() {
    for body in [r#"{"errcode":"M_UNRECOGNIZED"}"#, "<html>"] {
        let bridge = Bridge::new();
        let unknown = Page { status: 404, ..Page::of("application/json", body) };
        bridge.answers([Ok(unknown), page(200)]);
        bridge.happens(&room(), 1, 1);
        bridge.happens(&room(), 2, 2);
        let paths: Vec<_> = bridge.take().into_iter().map(|(path, _)| path.starts_with(PATH)).collect();
        assert_eq!(paths, [true, false, false], "asked once");
    }
    let bridge = Bridge::new();
    let missing = Page { status: 404, ..Page::of("application/json", r#"{"errcode":"M_NOT_FOUND"}"#) };
    bridge.answers([Ok(missing)]);
    bridge.happens(&room(), 1, 1);
    assert!(bridge.take().iter().all(|(path, _)| path.starts_with(PATH)));
}

#[test]
fn transactions_keep_within_half_a_mebibyte() {
    let bridge = Bridge::new();
    bridge.rooms.bytes.set(300_000);
    bridge.answers([page(500)]);
    for name in ["!a:tern.test", "!b:tern.test", "!c:tern.test"] {
        bridge.happens(&OwnedRoomId::try_from(name).unwrap(), 1, 1);
    }
    bridge.scene.pass(MINUTE);
    let sizes: Vec<_> = bridge.take().into_iter().map(|(_, events)| events.len()).collect();
    assert_eq!(sizes, [1, 1, 1, 1]);
}

#[test]
fn a_service_that_is_not_registered_any_more_leaves_nothing() {
    let mut bridge = Bridge::new();
    bridge.answers([page(500)]);
    bridge.happens(&room(), 1, 1);
    let first = bridge.take().remove(0).0;
    let with = bridge.scene.config.clone();
    bridge.scene.config = Rc::new(config("another"));
    bridge.scene.crash();
    bridge.scene.pass(MINUTE);
    assert!(bridge.take().is_empty());
    let rows = |sql: &str| bridge.scene.host.sqlite.query(sql, &[]).unwrap().len();
    assert_eq!((rows("SELECT 1 FROM lane"), rows("SELECT 1 FROM queue")), (0, 0));
    assert_eq!(bridge.scene.host.alarm.get(), None);
    // Registered again, it has other ids.
    bridge.scene.config = with;
    bridge.scene.crash();
    bridge.happens(&room(), 2, 2);
    let sent = bridge.take();
    assert_eq!(sent[0].1, [2]);
    assert_ne!(sent[0].0, first);
}

#[test]
fn the_object_of_a_service_asks_no_server() {
    let bridge = Bridge::new();
    let ask = tern_ports::wire::server_keys::FetchServerKeys {};
    let reply = bridge.scene.host.executor.run(bridge.scene.actor.handle(ask.into()));
    assert_eq!(frame::read_reply::<Value>(&reply).unwrap_err().status, 403);
    assert!(bridge.scene.asked().is_empty());
}

#[test]
fn a_user_who_is_invited_and_was_never_registered_is_asked_for_first() {
    let bridge = Bridge::new();
    let events = |membership: &str| {
        let member = json!({ "type": "m.room.member", "state_key": "@_irc_a:tern.test", "content": { "membership": membership } });
        vec![RawJson::from_value(&member).unwrap()]
    };
    let asked = Rc::<RefCell<Vec<String>>>::default();
    let heard = Rc::clone(&asked);
    bridge.scene.peer(move |request| {
        heard.borrow_mut().push(request.url.path().to_owned());
        Some(page(if request.method == HttpMethod::Get { 404 } else { 200 }))
    });
    for (position, membership) in [(1, "invite"), (2, "join")] {
        let (at, events) = (RoomSeq(position), events(membership));
        let read = OutgoingEvents { events, through: at, newest: at, joined: true };
        bridge.scene.host.rooms.replace(Some(Rc::new(move |_, _| Ok(frame::write_reply(&Ok(read.clone()))))));
        bridge.happens(&room(), position, position);
    }
    let paths: Vec<String> = asked.take();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert_eq!(paths[0], "/base/_matrix/app/v1/users/%40_irc_a%3Atern.test");
    assert!(paths[1..].iter().all(|path| path.starts_with("/base/_matrix/app/v1/transactions/")));
}

#[test]
fn a_message_to_a_service_that_is_well_costs_two_rows_whatever_crashes_between() {
    let mut bridge = Bridge::new();
    bridge.happens(&room(), 1, 1);
    bridge.happens(&room(), 2, 2);
    let before = bridge.scene.host.sqlite.rows_written();
    bridge.happens(&room(), 3, 3);
    assert_eq!(bridge.scene.host.sqlite.rows_written() - before, 2, "the transaction, and that it was taken");
    bridge.scene.pass(MINUTE);
    bridge.scene.crash();
    bridge.happens(&room(), 1, 3);
    bridge.scene.pass(MINUTE);
    let all = |bridge: &Bridge| bridge.take().into_iter().flat_map(|(_, events)| events).collect::<Vec<_>>();
    assert_eq!(all(&bridge), [1, 2, 3], "what it has is not sent again");
    // Before the answer, what follows waits behind it.
    bridge.answers([Err(NEVER)]);
    bridge.happens(&room(), 4, 4);
    bridge.happens(&room(), 3, 5);
    bridge.scene.crash();
    bridge.happens(&room(), 4, 6);
    bridge.scene.pass(MINUTE);
    assert_eq!(all(&bridge), [4, 4, 5, 6]);
    assert_eq!(bridge.probe().rooms, 0);
    // Too much at once: it is halved, and nothing is lost.
    bridge.answers([page(413)]);
    bridge.happens(&room(), 7, 8);
    bridge.scene.pass(MINUTE);
    assert_eq!(all(&bridge), [7, 8, 7, 8]);
}
