//! What the server is sent: all of it, in order, each transaction under one id.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use ruma::{OwnedRoomId, room_id};
use serde_json::{Value, json};
use tern_model::{MatrixError, RawJson, RoomSeq};
use tern_ports::{
    Sql, Target, Unreachable,
    outbound::{HttpError, HttpMethod},
    wire::{
        RoomCommand, StorageCommand,
        destination::{DestinationProbe, EnqueueEvents, ProbeDestination, WakeDestination},
        frame,
        server_reads::OutgoingEvents,
        troubles::{ListTroubles, TroubledServer},
    },
};
use tern_testkit::web::Page;

use crate::support::{NEVER, Scene};

const SERVER: &str = "a.org:8448";
const MINUTE: u64 = 60_000;

/// Rooms as their hubs answer: in each, all events are this server's.
#[derive(Default)]
pub(crate) struct Rooms {
    /// The newest position of each room.
    newest: RefCell<Vec<(OwnedRoomId, u64)>>,
    unreachable: RefCell<Vec<OwnedRoomId>>,
    gone: Cell<bool>,
    pub(crate) left: Cell<bool>,
    pub(crate) bytes: Cell<usize>,
}

impl Rooms {
    pub(crate) fn answer(&self, target: &Target, bytes: &[u8]) -> Result<Vec<u8>, Unreachable> {
        let Target::Room(room_id) = target else { panic!("{target:?}") };
        if self.unreachable.borrow().contains(room_id) {
            return Err(Unreachable("down".to_owned()));
        }
        let RoomCommand::ReadOutgoing(ask) = frame::read(bytes).unwrap() else { panic!("nothing else is asked") };
        let newest = self.newest.borrow().iter().find(|(other, _)| other == room_id).map(|(_, newest)| *newest);
        let Some(newest) = newest.filter(|_| !self.gone.get()) else {
            return Ok(frame::write_reply::<()>(&Err(MatrixError::not_found("no room"))));
        };
        let until = ask.until.map_or(newest, |until| until.0.min(newest));
        let last = until.min(ask.from.0 + u64::from(ask.limit) - 1);
        let padding = "x".repeat(self.bytes.get());
        let event = |seq| RawJson::from_value(&json!({ "at": seq, "room": room_id, "padding": padding })).unwrap();
        let events: Vec<RawJson> = (ask.from.0..=last).map(event).collect();
        let joined = !self.left.get();
        Ok(frame::write_reply(&Ok(OutgoingEvents { events, through: RoomSeq(last), newest: RoomSeq(newest), joined })))
    }

    pub(crate) fn grow(&self, room_id: &OwnedRoomId, newest: u64) {
        let mut rooms = self.newest.borrow_mut();
        rooms.retain(|(other, _)| other != room_id);
        rooms.push((room_id.clone(), newest));
    }
}

type Sent = Rc<RefCell<Vec<(String, Vec<u64>)>>>;

/// The object of a server with a room or two.
struct Play {
    scene: Scene,
    rooms: Rc<Rooms>,
    /// The transactions that reached the server: id, and what was in them.
    sent: Sent,
    /// What it answers next; then 200.
    answers: Rc<RefCell<VecDeque<Result<Page, HttpError>>>>,
}

#[expect(clippy::unnecessary_wraps, reason = "an answer among failures")]
pub(crate) fn page(status: u16) -> Result<Page, HttpError> {
    Ok(Page { status, ..Page::of("application/json", "{}") })
}

pub(crate) fn room() -> OwnedRoomId {
    room_id!("!r:tern.test").to_owned()
}

impl Play {
    fn new() -> Self {
        let scene = Scene::new(SERVER, Vec::new(), &[]);
        let (rooms, sent, answers) = (Rc::<Rooms>::default(), Sent::default(), Rc::<RefCell<VecDeque<_>>>::default());
        let hub = Rc::clone(&rooms);
        scene.host.rooms.replace(Some(Rc::new(move |target, bytes| hub.answer(target, bytes))));
        let (heard, script) = (Rc::clone(&sent), Rc::clone(&answers));
        scene.peer(move |request| {
            let id = request.url.path().strip_prefix("/_matrix/federation/v1/send/")?.to_owned();
            assert_eq!(request.method, HttpMethod::Put);
            let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
            assert_eq!(body["origin"], "tern.test");
            let pdus = body["pdus"].as_array().unwrap().iter().map(|pdu| pdu["at"].as_u64().unwrap()).collect();
            heard.borrow_mut().push((id, pdus));
            Some(script.borrow_mut().pop_front().unwrap_or_else(|| page(200)))
        });
        Self { scene, rooms, sent, answers }
    }

    /// The server answers so, one after the other.
    fn answers(&self, answers: impl IntoIterator<Item = Result<Page, HttpError>>) {
        self.answers.borrow_mut().extend(answers);
    }

    /// A room has a new event, and tells of it.
    fn happens(&self, room_id: &OwnedRoomId, from: u64, until: u64) {
        self.rooms.grow(room_id, until);
        self.tell(room_id, from, until);
        self.scene.host.executor.settle();
    }

    fn tell(&self, room_id: &OwnedRoomId, from: u64, until: u64) {
        let ask = EnqueueEvents { room_id: room_id.clone(), from: RoomSeq(from), until: RoomSeq(until) };
        let reply = self.scene.host.executor.run(self.scene.actor.handle(ask.into()));
        frame::read_reply::<Value>(&reply).unwrap();
    }

    fn wake(&self) {
        self.scene.host.executor.run(self.scene.actor.handle(WakeDestination {}.into()));
        self.scene.host.executor.settle();
    }

    fn probe(&self) -> DestinationProbe {
        let reply = self.scene.host.executor.run(self.scene.actor.handle(ProbeDestination {}.into()));
        frame::read_reply(&reply).unwrap()
    }

    /// What was in the transactions since this was last asked.
    fn take(&self) -> Vec<Vec<u64>> {
        self.sent.take().into_iter().map(|(_, events)| events).collect()
    }

    /// Their ids.
    fn ids(&self) -> Vec<String> {
        self.sent.borrow().iter().map(|(id, _)| id.clone()).collect()
    }

    fn rows(&self) -> u64 {
        self.scene.host.sqlite.rows_written()
    }
}

#[test]
fn events_arrive_in_order_once_however_often_they_are_told_of() {
    let play = Play::new();
    play.happens(&room(), 3, 3);
    play.happens(&room(), 3, 3);
    play.happens(&room(), 4, 5);
    play.tell(&room(), 3, 5);
    play.scene.pass(MINUTE);
    let ids = play.ids();
    assert_eq!(play.take(), [vec![3], vec![4, 5]]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(play.probe(), DestinationProbe::default());
}

#[test]
fn a_message_to_a_server_that_is_well_costs_four_rows() {
    let play = Play::new();
    play.happens(&room(), 1, 1);
    let before = play.rows();
    play.happens(&room(), 2, 2);
    assert_eq!(play.rows() - before, 4);
}

#[test]
fn a_transaction_without_a_success_is_sent_again_as_it_was_and_what_comes_meanwhile_waits() {
    for failure in [page(500), page(429), page(403), Err(HttpError::Late), Ok(Page::of("text/html", "<html>"))] {
        let play = Play::new();
        play.answers([failure.clone(), failure.clone()]);
        play.happens(&room(), 1, 1);
        play.happens(&room(), 2, 2);
        play.happens(&room(), 3, 3);
        assert_eq!(play.take(), [vec![1]], "{failure:?}");
        assert_eq!((play.probe().failures, play.probe().positions, play.probe().sending), (1, 3, true), "{failure:?}");
        play.scene.pass(10 * MINUTE);
        let ids = play.ids();
        assert_eq!(play.take(), [vec![1], vec![1], vec![2, 3]], "{failure:?}");
        assert!(ids[0] == ids[1] && ids[1] != ids[2], "{failure:?}: {ids:?}");
    }
}

#[test]
fn a_crash_loses_nothing_and_repeats_under_the_same_id() {
    let mut play = Play::new();
    // The transaction has left, and no answer came before the object is gone.
    play.answers([Err(NEVER)]);
    play.happens(&room(), 1, 2);
    play.scene.crash();
    play.scene.pass(MINUTE);
    let ids = play.ids();
    assert_eq!(play.take(), [vec![1, 2], vec![1, 2]]);
    assert_eq!(ids[0], ids[1]);
    // What is told now goes under another one.
    play.scene.crash();
    play.happens(&room(), 3, 3);
    assert!(!ids.contains(&play.ids()[0]));
    assert_eq!(play.take(), [vec![3]]);
    play.scene.pass(1);
    // And a room that never heard that it was heard tells again.
    play.scene.crash();
    play.happens(&room(), 1, 3);
    play.scene.pass(MINUTE);
    assert!(play.take().is_empty());
}

#[test]
fn what_a_room_told_in_another_life_is_sent_as_well() {
    let mut play = Play::new();
    play.answers([page(500)]);
    play.happens(&room(), 1, 1);
    // Nothing is written of these.
    play.happens(&room(), 2, 9);
    play.scene.crash();
    play.scene.pass(MINUTE);
    assert_eq!(play.take(), [vec![1], vec![1], (2..=9).collect()]);
}

#[test]
fn a_server_that_is_gone_costs_a_message_no_row() {
    let mut play = Play::new();
    play.answers((0..20).map(|_| Err(HttpError::Late)));
    play.happens(&room(), 1, 1);
    play.scene.pass(60 * MINUTE);
    let (rows, alarms) = (play.rows(), play.scene.host.alarms.get());
    for seq in 2..=200 {
        play.happens(&room(), seq, seq);
        if seq % 50 == 0 {
            play.scene.crash();
        }
    }
    assert_eq!((play.rows(), play.scene.host.alarms.get()), (rows, alarms));
    assert!(play.probe().failures >= 5);
    play.take();
    // It asks something itself: it is there again.
    play.answers.borrow_mut().clear();
    play.wake();
    let sent = play.take();
    assert_eq!(sent.concat(), (1..=200).collect::<Vec<_>>());
    assert!(sent.iter().all(|events| events.len() <= 50));
}

#[test]
fn administrators_are_told_of_a_server_that_fails_until_it_is_back() {
    let mut play = Play::new();
    let troubled = |play: &Play| {
        let ask: StorageCommand = ListTroubles { after: None, limit: 9 }.into();
        let reply = play.scene.host.executor.run(play.scene.host.storage.answer(&frame::write(&ask)));
        let servers: Vec<TroubledServer> = frame::read_reply(&reply).unwrap();
        servers.iter().map(|one| one.server.to_string()).collect::<Vec<_>>()
    };
    play.answers([page(500)]);
    play.happens(&room(), 1, 1);
    play.scene.pass(MINUTE);
    assert_eq!(play.take(), [vec![1], vec![1]]);
    assert!(play.scene.host.storage.d1.take_batches().is_empty(), "one failure is nothing");
    play.answers((0..6).map(|_| page(500)));
    play.happens(&room(), 2, 2);
    play.scene.pass(10 * MINUTE);
    assert_eq!(troubled(&play), [SERVER]);
    play.scene.crash();
    play.answers.borrow_mut().clear();
    play.wake();
    assert!(troubled(&play).is_empty());
}

#[test]
fn an_overloaded_server_says_when_to_come_back() {
    let play = Play::new();
    play.answers([Ok(Page { headers: vec![("retry-after", "90".to_owned())], status: 429, body: b"{}".to_vec() })]);
    play.happens(&room(), 1, 1);
    play.scene.pass(89_000);
    assert_eq!(play.take().len(), 1);
    play.scene.pass(2_000);
    assert_eq!(play.take(), [vec![1]]);
}

#[test]
fn an_event_that_the_server_will_not_have_does_not_hold_up_the_others() {
    let play = Play::new();
    let (sent, poison) = (Rc::clone(&play.sent), 5);
    play.scene.peer(move |request| {
        let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
        let events: Vec<_> = body["pdus"].as_array().unwrap().iter().map(|pdu| pdu["at"].as_u64().unwrap()).collect();
        let refused = events.contains(&poison);
        if !refused {
            sent.borrow_mut().push((String::new(), events));
        }
        Some(page(if refused { 400 } else { 200 }))
    });
    play.happens(&room(), 1, 20);
    play.scene.pass(60 * MINUTE);
    let expected: Vec<u64> = (1..=20).filter(|at| *at != poison).collect();
    assert_eq!(play.take().concat(), expected);
    assert_eq!((play.probe().refused, play.probe().rooms), (1, 0));
}

#[test]
fn a_room_that_cannot_be_asked_holds_up_no_other() {
    let play = Play::new();
    let other = room_id!("!s:tern.test").to_owned();
    play.rooms.unreachable.borrow_mut().push(room());
    play.happens(&room(), 1, 1);
    play.happens(&other, 7, 7);
    assert_eq!(play.take(), [vec![7]]);
    play.rooms.unreachable.borrow_mut().clear();
    play.scene.pass(MINUTE);
    assert_eq!(play.take(), [vec![1]]);
}

#[test]
fn many_events_go_in_several_transactions_within_their_bounds() {
    let play = Play::new();
    play.happens(&room(), 1, 120);
    let sizes: Vec<_> = play.take().iter().map(Vec::len).collect();
    assert_eq!(sizes, [50, 50, 20]);
    // A room's hub keeps to the bytes it is asked for; what does not fit beside another room's comes next.
    play.rooms.bytes.set(600_000);
    play.answers([page(500)]);
    play.happens(&room(), 121, 121);
    for room_id in [room_id!("!s:tern.test"), room_id!("!t:tern.test")] {
        play.happens(&room_id.to_owned(), 1, 1);
    }
    play.scene.pass(MINUTE);
    assert_eq!(play.take(), [vec![121], vec![121], vec![1], vec![1]]);
}

#[test]
fn a_busy_room_lets_the_others_have_their_turn() {
    let play = Play::new();
    play.answers([page(500)]);
    play.happens(&room(), 1, 1);
    // Its id is the first; it has so much to say that it fills one transaction after the other.
    play.happens(&room(), 2, 400);
    for (name, at) in [("!s:tern.test", 1_001), ("!t:tern.test", 2_001)] {
        play.happens(&OwnedRoomId::try_from(name).unwrap(), at, at);
    }
    play.scene.pass(60 * MINUTE);
    let sent = play.take();
    let number = |at: u64| sent.iter().position(|events| events.contains(&at)).unwrap();
    assert!(number(1_001) <= 3 && number(2_001) <= 3, "{:?}", sent.iter().map(Vec::len).collect::<Vec<_>>());
    let busy: Vec<u64> = sent.into_iter().skip(1).flatten().filter(|at| *at < 1_000).collect();
    assert_eq!(busy, (1..=400).collect::<Vec<_>>(), "in order, all of it");
}

#[test]
fn of_a_room_that_is_gone_or_left_nothing_stays() {
    for gone in [true, false] {
        let play = Play::new();
        play.answers([page(500)]);
        play.happens(&room(), 1, 1);
        play.rooms.gone.set(gone);
        play.rooms.left.set(!gone);
        play.happens(&room(), 2, 2);
        play.scene.pass(MINUTE);
        assert_eq!(play.probe().rooms, 0);
        let lanes = play.scene.host.sqlite.query("SELECT 1 FROM lane", &[]).unwrap();
        assert!(lanes.is_empty(), "{gone}");
    }
}

#[test]
fn whom_the_operator_keeps_out_is_sent_nothing_and_a_made_up_name_leaves_nothing() {
    let mut config = tern_testkit::world::config();
    config.federation.denied.insert(SERVER.try_into().unwrap());
    let scene = Scene::with(SERVER, Vec::new(), config);
    let ask = EnqueueEvents { room_id: room(), from: RoomSeq(1), until: RoomSeq(1) };
    scene.host.executor.run(scene.actor.handle(ask.into()));
    let play = Play::new();
    play.wake();
    assert_eq!(play.probe(), DestinationProbe::default());
    for host in [&scene.host, &play.scene.host] {
        assert!(host.sqlite.query("SELECT 1 FROM sqlite_master", &[]).unwrap().is_empty());
        assert_eq!(host.alarm.get(), None);
    }
}
