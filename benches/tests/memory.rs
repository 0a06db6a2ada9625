//! The hub of a room of 20,000 members never needs more than 32 MB at once, whatever it is asked.
//!
//! Weighed is what Rust allocates from a request's frame to the reply's, on top of what the rest of the test holds: the hub
//! with the rows it reads. SQLite is the platform's and has its own memory; here it is a C library that is not weighed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a measurement")]

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, events::StateEventType};
use serde_json::{Value, json};
use tern_benches::{
    corpus::Room,
    counting::{Counting, allocations, peak_of},
};
use tern_model::{Caller, Pdu, RawJson, RoomSeq};
use tern_ports::{
    Target, Transport as _, ask_storage,
    wire::{
        RoomCommand, RoomRequest,
        frame::{read_reply, write},
        receive::{PduResult, Receipted, ReceiveEvents, ServerKey},
        room::{
            ChangeMembership, Draft, MembersFilter, MembershipAction, PageState, ReadJoinedMembers, ReadMessages,
            ReadSlice, ReadState, SendEvent,
        },
        storage::StateAt,
        sync::SyncAsk,
    },
};
use tern_room::{Extremity, RoomView, Signer, Unreadable, Version, build};
use tern_testkit::TestClock;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MEMBERS: usize = 20_000;
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// What the resolution of a hundred forks in a room of this size may take.
const MOST_ALLOCATIONS: u64 = 6_000_000;

/// Asks a hub that has just been built, and weighs that.
fn weigh<R: RoomRequest>(room: &Room, name: &str, request: R) -> R::Reply {
    weigh_within(room, name, request, MOST_BYTES)
}

fn weigh_within<R: RoomRequest>(room: &Room, name: &str, request: R, most_bytes: u64) -> R::Reply {
    room.cluster.evict_room(&room.room_id);
    let command: RoomCommand = request.into();
    let frame = write(&command);
    let target = Target::Room(room.room_id.clone());
    let (reply, peak) = peak_of(|| {
        let reply = room.cluster.run(room.cluster.exchange(&target, frame)).unwrap();
        room.cluster.quiesce();
        reply
    });
    println!("{name:24} {peak:>10} bytes, reply {}", reply.len());
    assert!(peak <= most_bytes, "{name}: {peak} bytes");
    read_reply(&reply).unwrap()
}

#[test]
fn the_hub_of_a_large_room_stays_small() {
    assert!(allocations() > 0, "allocations are counted");
    let room = Room::new(MEMBERS);
    let reader = room.sender.user_id.clone();
    let draft = |kind: &str, state_key: Option<&str>, content: &Value| Draft {
        sender: reader.clone(),
        kind: kind.to_owned(),
        state_key: state_key.map(str::to_owned),
        content: RawJson::from_value(content).unwrap(),
        redacts: None,
    };
    let send = |draft| SendEvent { draft, device_id: "PHONE".into(), txn_id: None, ts: None, sticky_ms: None };
    weigh(&room, "message", send(draft("m.room.message", None, &json!({ "body": "hello" }))));
    weigh(&room, "name", send(draft("m.room.name", Some(""), &json!({ "name": "Nest" }))));
    let join = |who: &str, action| ChangeMembership {
        caller: OwnedUserId::try_from(who).unwrap(),
        action,
        target: OwnedUserId::try_from(who).unwrap(),
        reason: None,
        content: None,
    };
    weigh(&room, "join", join("@listener_late:tern.test", MembershipAction::Join));
    weigh(&room, "leave", join("@listener_late:tern.test", MembershipAction::Leave));
    let members = Some(MembersFilter::default());
    let page = weigh(&room, "members", PageState { caller: reader.clone(), members, after: None });
    assert!(page.events.len() > 1_000 && page.next.is_some());
    assert!(weigh(&room, "state", ReadState { caller: reader.clone() }).len() > MEMBERS);
    assert_eq!(weigh(&room, "joined members", ReadJoinedMembers { caller: reader.clone() }).len(), MEMBERS);
    weigh(&room, "messages", read_newest(&reader, 250));
    let slice = |lazy: bool, state: &[(&str, &str)]| SyncAsk {
        room_id: room.room_id.clone(),
        user_id: reader.clone(),
        after: None,
        until: None,
        limit: 100,
        state: state.iter().map(|(kind, key)| ((*kind).to_owned(), (*key).to_owned())).collect(),
        lazy,
        members: Vec::new(),
        replaced: false,
    };
    weigh(&room, "slice", ReadSlice { ask: slice(true, &[("m.room.name", ""), ("m.room.create", "")]) });
    weigh(&room, "lazy slice of all state", ReadSlice { ask: slice(true, &[("*", "*")]) });
    forks(&room);
}

fn read_newest(reader: &OwnedUserId, limit: u32) -> ReadMessages {
    let caller = Caller { user_id: reader.clone(), device_id: "PHONE".into() };
    ReadMessages { caller, from: None, to: None, backwards: true, limit, filter: None, ignored: BTreeSet::new() }
}

/// Much is said at length while the storage worker is away: what is told, and what is stored then, goes piece by piece.
#[test]
fn what_waits_to_be_told_and_stored_is_not_in_memory_at_once() {
    let room = Room::new(3);
    room.cluster.storage_is_away(true);
    for number in 0..120 {
        let content = RawJson::from_value(&json!({ "text": format!("{number}{}", "x".repeat(60_000)) })).unwrap();
        let draft = Draft {
            sender: room.sender.user_id.clone(),
            kind: "org.example.large".to_owned(),
            state_key: None,
            content,
            redacts: None,
        };
        let txn_id = Some(number.to_string());
        let ask = SendEvent { draft, device_id: "PHONE".into(), txn_id, ts: None, sticky_ms: None };
        room.cluster.run(tern_ports::ask_room(&room.cluster, &room.room_id, ask)).unwrap();
    }
    room.cluster.storage_is_away(false);
    room.cluster.evict_room(&room.room_id);
    let ((), peak) = peak_of(|| room.cluster.quiesce());
    println!("120 waiting events        {peak:>10} bytes");
    assert!(peak <= 8 << 20, "{peak} bytes");
}

/// The largest state there may be, each event of it in the place of another that was as large.
#[test]
fn the_hub_of_a_room_with_the_largest_state_stays_small() {
    let room = Room::new(2);
    let reader = room.sender.user_id.clone();
    let set = |key: u64, letter: &str| {
        let content = RawJson::from_value(&json!({ "text": letter.repeat(60_000) })).unwrap();
        let draft = Draft {
            sender: reader.clone(),
            kind: "org.example.large".to_owned(),
            state_key: Some(key.to_string()),
            content,
            redacts: None,
        };
        let ask = SendEvent { draft, device_id: "PHONE".into(), txn_id: None, ts: None, sticky_ms: None };
        room.cluster.run(tern_ports::ask_room(&room.cluster, &room.room_id, ask))
    };
    let mut most = 0;
    let held = (0..1_000).take_while(|key| set(*key, "a").is_ok()).count() as u64;
    assert!((65..75).contains(&held), "{held} events of 60 kB");
    for key in 0..held {
        let ((), peak) = peak_of(|| {
            set(key, "b").unwrap();
            room.cluster.quiesce();
        });
        most = most.max(peak);
    }
    println!("send of 60 kB            {most:>10} bytes, with all that follows");
    assert!(most <= 4 << 20, "{most} bytes");
    weigh_within(&room, "250 events of 60 kB", read_newest(&reader, 250), 8 << 20);
    let page = weigh(&room, "page of a full state", PageState { caller: reader.clone(), members: None, after: None });
    assert!(page.events.len() < 64 && page.next.is_some());
    weigh_within(&room, "full state", ReadState { caller: reader.clone() }, 20 << 20);
    let all = SyncAsk {
        room_id: room.room_id.clone(),
        user_id: reader.clone(),
        after: None,
        until: None,
        limit: 20,
        state: vec![("*".to_owned(), "*".to_owned())],
        lazy: false,
        members: Vec::new(),
        replaced: false,
    };
    weigh_within(&room, "slice of a full state", ReadSlice { ask: all }, 26 << 20);
    room.cluster.quiesce();
    let everything = RawJson::from_value(&json!({
        "lists": { "all": { "ranges": [[0, 9]], "timeline_limit": 20, "required_state": [["*", "*"]] } }
    }))
    .unwrap();
    let sliding = weigh_work("sliding sync", || room.cluster.run(room.reader.sync(&everything, None, 0)).0);
    let classic = weigh_work("classic sync", || room.cluster.run(room.reader.classic()));
    for body in [sliding, classic] {
        assert!(body.text().matches("org.example.large").count() as u64 >= held, "all of it is there");
    }
}

/// A request to a user's hub, with all that it asks of others: much of which is another isolate's.
fn weigh_work(name: &str, work: impl FnOnce() -> RawJson) -> RawJson {
    let (body, peak) = peak_of(work);
    println!("{name:24} {peak:>10} bytes, body {}", body.text().len());
    assert!(peak <= 40 << 20, "{name}: {peak} bytes");
    body
}

/// A hundred forks of one state event each, from the same event, as another server might send them.
fn forks(room: &Room) {
    let signer = Signer::new("tern.test".try_into().unwrap(), "ed25519:1", &[7; 32]).unwrap();
    let key = ServerKey {
        server_name: "tern.test".try_into().unwrap(),
        key_id: "ed25519:1".to_owned(),
        key: ruma::serde::Base64::<ruma::serde::base64::Standard>::new(signer.public_key().to_vec()).encode(),
        valid_until: Some(TestClock::START.plus(1_000_000)),
    };
    let face = Face::of(room);
    let sender = &room.sender.user_id;
    let event = |number: u64| {
        let content = match number % 4 {
            0 => ("m.room.power_levels", "", levels(&face, number)),
            1 => ("m.room.topic", "", json!({ "topic": number.to_string() })),
            2 => ("m.room.name", "", json!({ "name": number.to_string() })),
            _ => ("org.example", "", json!({ "number": number })),
        };
        let (kind, key, content) = content;
        let content = RawJson::from_value(&content).unwrap();
        let draft = tern_room::Draft::state(sender.clone(), kind, key, content);
        build(&face, &draft, TestClock::START.plus(number), &signer).unwrap().raw().clone()
    };
    let events: Vec<_> = (0..100).map(event).collect();
    let started = allocations();
    for events in events.chunks(50) {
        let request = ReceiveEvents {
            origin: "tern.test".try_into().unwrap(),
            version: None,
            events: events.to_vec(),
            outliers: Vec::new(),
            keys: vec![key.clone()],
        };
        let receipts: Vec<Receipted> = weigh(room, "50 forks", request);
        assert!(receipts.iter().all(|receipt| receipt.result == PduResult::Accepted), "{:?}", receipts[0]);
    }
    let taken = allocations() - started;
    println!("100 forks took {taken} allocations");
    assert!(taken <= MOST_ALLOCATIONS, "{taken} allocations");
}

fn levels(face: &Face, number: u64) -> Value {
    let now = face.state.get(&("m.room.power_levels".into(), String::new())).unwrap();
    let mut levels: Value = serde_json::from_str(now.body().get()).unwrap();
    levels["users"][format!("@moderator{number}:tern.test")] = 50.into();
    levels
}

/// The room as somebody sees it who builds on its newest event.
struct Face {
    room_id: OwnedRoomId,
    version: &'static Version,
    state: BTreeMap<(StateEventType, String), Pdu>,
    newest: Extremity,
}

impl Face {
    fn of(room: &Room) -> Self {
        let event_id: OwnedEventId = room.say();
        room.cluster.quiesce();
        let mut state = BTreeMap::new();
        for (kind, key) in [
            ("m.room.create", ""),
            ("m.room.power_levels", ""),
            ("m.room.join_rules", ""),
            ("m.room.member", room.sender.user_id.as_str()),
        ] {
            let ask = StateAt {
                room_id: room.room_id.clone(),
                at: RoomSeq(1 << 40),
                kind: Some(kind.to_owned()),
                state_key: Some(key.to_owned()),
            };
            let found = room.cluster.run(ask_storage(&room.cluster, ask)).unwrap().remove(0);
            let pdu = Pdu::parse(found.event_id, found.pdu).unwrap();
            state.insert((StateEventType::from(kind), key.to_owned()), pdu);
        }
        let create = state.get(&("m.room.create".into(), String::new())).unwrap();
        let content: Value = serde_json::from_str(create.body().get()).unwrap();
        let version = Version::find(content["room_version"].as_str().unwrap()).unwrap();
        let newest = Extremity { event_id, depth: 100_000 };
        Self { room_id: room.room_id.clone(), version, state, newest }
    }
}

impl RoomView for Face {
    fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    fn version(&self) -> &'static Version {
        self.version
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.state.get(&(kind.clone(), state_key.to_owned())).cloned())
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        Ok(vec![self.newest.clone()])
    }

    fn joined(&self, _: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        Ok(Vec::new())
    }
}
