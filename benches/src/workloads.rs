//! Everything that has a budget, each run once on a cluster at rest.

use std::hint::black_box;

use ruma::RoomId;
use tern_auth::{Check, TokenCache, token::verify};
use tern_model::Notice;
use tern_ports::{
    Clock, ask_storage,
    wire::{
        RoomCommand, UserCommand, frame,
        storage::SyncRooms,
        sync::{SyncAsk, SyncRoom},
        user::Deliver,
    },
};
use tern_room::{authorise, build, build::propose};
use tern_testkit::TestClock;

use crate::{
    Cluster, Cost, Phone,
    corpus::{Account, Hall, MEMBERS, ROOMS, Room, TEXT, WINDOW},
    cost::{measure, measure_work},
    graph::{Forks, InitialState},
    media,
    phone::{Synced, sync_request},
};

/// Bytes of the answer to a send.
const SENT: usize = r#"{"event_id":""}"#.len();
/// Bytes of an empty answer.
pub(crate) const EMPTY: u64 = 2;
/// Members of a large room, how many of them are there, and what somebody who is not misses.
const LARGE: usize = 1_000;
const LIVE: usize = 10;
const MISSED: usize = 500;
/// How long a client waits for news, in milliseconds.
const PATIENCE: u64 = 30_000;

/// Workloads and their costs, in the order in which they were measured.
#[derive(Default)]
pub struct Costs(pub Vec<(String, Cost)>);

impl Costs {
    /// Measures everything. Takes a while: it makes all corpora.
    pub fn of_everything() -> Self {
        let mut costs = Self::default();
        for members in MEMBERS {
            costs.in_room(members);
        }
        costs.of_large_room();
        for rooms in ROOMS {
            costs.of_account(rooms);
        }
        costs.of_encryption();
        costs.of_federation();
        costs.of_tokens();
        for members in MEMBERS {
            costs.of_rules(members);
        }
        costs.of_graphs();
        for (name, cost) in media::costs() {
            costs.add(name.to_owned(), cost);
        }
        costs
    }

    pub(crate) fn add(&mut self, name: String, cost: Cost) {
        self.0.push((name, cost));
    }

    /// The cost of a workload that was measured.
    pub fn get(&self, name: &str) -> Option<Cost> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, cost)| *cost)
    }

    fn in_room(&mut self, members: usize) {
        let room = Room::new(members);
        self.add(format!("send_{members}"), send(&room));
        room.cluster.evict_room(&room.room_id);
        self.add(format!("send_cold_{members}"), send(&room));
        if members == 2 {
            room.cluster.pass(60_000);
            self.add(
                "send_unconfirmed_2".to_owned(),
                request(&room, room.sender.send(&room.room_id, TEXT), sent_bytes),
            );
            self.add("conversation_2".to_owned(), conversation(&room));
        }
        room.sender.is_online();
        let typing = room.sender.set_typing(&room.room_id, 20_000);
        self.add(format!("typing_{members}"), request(&room, typing, |()| EMPTY));
        let event_id = room.say();
        room.cluster.quiesce();
        room.reader.is_online();
        let reading = room.reader.read(&room.room_id, &event_id);
        self.add(format!("receipt_{members}"), request(&room, reading, |()| EMPTY));
        if members == 2 {
            self.of_pushes(&room);
        }
        if members > LARGE {
            let late = Phone::sign_in(&room.cluster, "late");
            self.add(format!("join_{members}"), request(&room, late.join(&room.room_id), |()| EMPTY));
        }
    }

    /// A room of a thousand of whom ten are there, and somebody who comes back to it.
    fn of_large_room(&mut self) {
        let room = Room::new(LARGE);
        let list = sync_request(WINDOW, 20);
        let first = room.cluster.run(room.reader.sync(&list, None, 0));
        let known = first.unread().expect("the room is told of");
        let pos = room.cluster.run(room.reader.sync(&list, Some(&first.pos()), 0)).pos();
        room.pass_away();
        for number in 0..MISSED {
            room.cluster.pass(1_000);
            room.say();
            if number % 50 == 0 {
                room.rest();
            }
        }
        room.rest();
        let answer = |answer: &Synced| {
            assert_eq!(answer.unread(), Some(known + 1 + MISSED as u64), "exact with the first answer");
            answer.bytes()
        };
        self.add(
            format!("return_{LARGE}_after_{MISSED}"),
            request(&room, room.reader.sync(&list, Some(&pos), 0), answer),
        );
        let others = (0..LIVE - 2).map(|number| Phone::sign_in(&room.cluster, &format!("member{number:05}")));
        let others: Vec<Phone> = others.collect();
        for phone in others.iter().chain([&room.sender, &room.reader]) {
            room.cluster.run(phone.sync(&list, None, 0));
        }
        room.cluster.settle();
        self.add(format!("send_{LARGE}_of_whom_{LIVE}_listen"), send(&room));
    }

    fn of_account(&mut self, rooms: usize) {
        let account = Account::new(rooms);
        for timeline in [1, 20] {
            let first = sync_request(WINDOW, timeline);
            let sync = account.owner.sync(&first, None, 0);
            let cost = measure(&account.cluster, sync, Synced::bytes);
            self.add(format!("sync_initial_{rooms}_timeline_{timeline}"), cost);
        }
        self.later_syncs(&account, rooms);
        if rooms == WINDOW / 2 {
            self.of_frames(&account);
        }
    }

    fn later_syncs(&mut self, account: &Account, rooms: usize) {
        let (request, first) = account.caught_up();
        let sync = |pos: &str, patience| {
            measure(&account.cluster, account.owner.sync(&request, Some(pos), patience), Synced::bytes)
        };
        self.add(format!("sync_idle_after_first_{rooms}"), sync(&first, 0));
        let pos = account.live(&request, &first);
        self.add(format!("sync_idle_{rooms}"), sync(&pos, 0));
        account.cluster.evict_user(&account.owner.user_id);
        self.add(format!("sync_idle_cold_{rooms}"), sync(&pos, 0));
        self.add(format!("sync_idle_waited_{rooms}"), sync(&pos, PATIENCE));
        account.write();
        account.cluster.quiesce();
        self.add(format!("sync_live_{rooms}"), sync(&pos, 0));
        // The answer was lost: the same request gets it again.
        self.add(format!("sync_repeated_{rooms}"), sync(&pos, 0));
        let pos = account.cluster.run(account.owner.sync(&request, Some(&pos), 0)).pos();
        account.write();
        account.cluster.quiesce();
        account.cluster.evict_user(&account.owner.user_id);
        self.add(format!("sync_live_cold_{rooms}"), sync(&pos, 0));
    }

    fn of_tokens(&mut self) {
        let room = Room::new(2);
        let (config, token, now) = (room.cluster.config(), room.sender.token(), room.cluster.now());
        self.add("token_cold".to_owned(), measure_work(|| verify(config, token, now).expect("it is good"), |_| 0));
        let mut cache = TokenCache::default();
        cache.check(config, token, now);
        cache.confirm(token, now);
        let warm = || assert!(matches!(cache.check(config, token, now), Check::Fresh(_)));
        self.add("token_warm".to_owned(), measure_work(warm, |()| 0));
    }

    fn of_rules(&mut self, members: usize) {
        let hall = Hall::new(Cluster::default().config(), members);
        let draft = hall.message();
        let now = TestClock::START;
        let pdu = build(&hall, &draft, now, &hall.signer).expect("the draft is good");
        let bytes = |pdu: &tern_model::Pdu| pdu.raw().text().len() as u64;
        let authorised = || authorise(&hall, &pdu).expect("members may write");
        self.add(format!("event_auth_{members}"), measure_work(authorised, |()| 0));
        let proposed = || propose(&hall, &draft, now, &hall.signer).expect("members may write");
        self.add(format!("event_proposed_{members}"), measure_work(proposed, bytes));
        if members == 2 {
            let signed = || build(&hall, &draft, now, &hall.signer).expect("the draft is good");
            self.add("event_signed".to_owned(), measure_work(signed, bytes));
        }
    }

    fn of_graphs(&mut self) {
        let cluster = Cluster::default();
        let forks = Forks::new(cluster.config(), 100);
        self.add("resolve_2_forks_100".to_owned(), measure_work(|| forks.resolve(), |_| 0));
        let many = Forks::many(cluster.config(), 10_000, 100);
        self.add("resolve_100_forks_10000".to_owned(), measure_work(|| many.resolve(), |_| 0));
        let state = InitialState::new(cluster.config(), 500);
        assert_eq!(state.len(), 500, "the corpus is of the size it is called by");
        self.add("initial_state_500".to_owned(), measure_work(|| state.build(), |_| 0));
    }

    fn of_frames(&mut self, account: &Account) {
        let frames = Frames::of(account);
        self.add("frame_send_write".to_owned(), measure_work(|| frame::write(&frames.send), length));
        let bytes = frame::write(&frames.send);
        self.add("frame_send_read".to_owned(), measure_work(|| frame::read::<RoomCommand>(&bytes), |_| 0));
        self.add("frame_notice_write".to_owned(), measure_work(|| frame::write(&frames.notice), length));
        let bytes = frame::write(&frames.notice);
        self.add("frame_notice_read".to_owned(), measure_work(|| frame::read::<UserCommand>(&bytes), |_| 0));
        self.add("frame_slices_write".to_owned(), measure_work(|| frame::write_reply(&frames.slices), length));
        let bytes = frame::write_reply(&frames.slices);
        let read = || frame::read_reply::<Vec<SyncRoom>>(black_box(&bytes));
        self.add("frame_slices_read".to_owned(), measure_work(read, |_| 0));
    }
}

/// The frames that are most on the way: a send, the notice of it, and the storage worker's answer for a first sync.
pub struct Frames {
    /// A send to a room's hub.
    pub send: RoomCommand,
    /// A notice to a user's hub.
    pub notice: UserCommand,
    /// Slices of all of the account's rooms, 20 events each.
    pub slices: Result<Vec<SyncRoom>, tern_model::MatrixError>,
}

impl Frames {
    /// Frames as they pass in the cluster of `account`.
    pub fn of(account: &Account) -> Self {
        let ask = |room_id: &ruma::OwnedRoomId| SyncAsk {
            room_id: room_id.clone(),
            user_id: account.owner.user_id.clone(),
            after: None,
            until: None,
            limit: 20,
            state: vec![("m.room.name".to_owned(), String::new()), ("m.room.power_levels".to_owned(), String::new())],
            lazy: true,
            members: Vec::new(),
            replaced: false,
        };
        let ask = SyncRooms { rooms: account.rooms.iter().map(ask).collect() };
        let slices = account.cluster.run(ask_storage(&account.cluster, ask)).expect("the storage worker answers");
        let room_id = account.rooms.first().expect("there is a room");
        let notice = Deliver { notices: vec![notice(room_id, &slices)] };
        Self { send: account.friend.message(TEXT).into(), notice: notice.into(), slices: Ok(slices) }
    }
}

fn notice(room_id: &RoomId, slices: &[SyncRoom]) -> Notice {
    let event = slices.first().and_then(|slice| slice.timeline.last()).expect("there is an event");
    let event = tern_model::NoticeEvent {
        seq: event.seq,
        event_id: event.event_id.clone(),
        kind: event.kind.clone(),
        sender: event.sender.as_str().try_into().expect("the sender is a user"),
        state_key: None,
        ts: event.ts,
        client: tern_room::client_event(tern_room::DEFAULT, event, tern_room::Form::default()).expect("it is an event"),
        txn: None,
        redacts: None,
        pings_room: false,
    };
    Notice {
        room_id: room_id.to_owned(),
        events: vec![event],
        resolved: Vec::new(),
        membership: None,
        stripped: Vec::new(),
        summary: None,
        forwarded: tern_model::RoomSeq(0),
        members: None,
        selective: false,
        ephemeral: Vec::new(),
        sticky: Vec::new(),
    }
}

fn request<T>(room: &Room, request: impl Future<Output = T>, bytes: impl FnOnce(&T) -> u64) -> Cost {
    measure(&room.cluster, request, bytes)
}

fn send(room: &Room) -> Cost {
    room.sender.is_online();
    request(room, room.sender.send(&room.room_id, TEXT), sent_bytes)
}

/// A message from the send to the answer of the poll that waits for it.
fn conversation(room: &Room) -> Cost {
    let list = sync_request(WINDOW, 1);
    let first = room.cluster.run(room.reader.sync(&list, None, 0));
    let pos = room.cluster.run(room.reader.sync(&list, Some(&first.pos()), 0)).pos();
    room.sender.is_online();
    let waiting = room.reader.sync(&list, Some(&pos), PATIENCE);
    let both = async {
        let (answer, _) = futures::join!(waiting, room.sender.send(&room.room_id, TEXT));
        assert_eq!(answer.events(), 1, "the message is in the answer that waited for it");
        answer
    };
    request(room, both, Synced::bytes)
}

fn sent_bytes(event_id: &ruma::OwnedEventId) -> u64 {
    (SENT + event_id.as_str().len()) as u64
}

#[expect(clippy::ptr_arg, reason = "called with what the work returns")]
fn length(frame: &Vec<u8>) -> u64 {
    frame.len() as u64
}
