//! The room's hub, on a database that can crash, before a storage worker and user hubs that can be out.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures::future::{FutureExt, join_all};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Value, json};
use tern_flows::room::RoomActor;
use tern_model::{Caller, Config, EphemeralNotice, MatrixError, Notice, RawJson, RoomSeq};
use tern_ports::{
    Clock as _, Sql as _, Target, Unreachable,
    wire::{
        Done, RoomCommand, RoomRequest, UserCommand, frame,
        room::{
            ChangeMembership, CreateRoom, Draft, MembershipAction, Messages, ProbeRoom, ReadEvent, ReadJoinedMembers,
            ReadMembers, ReadMessages, ReadSlice, ReadState, ReadStateEvent, ReceiptDraft, RoomProbe, SendEvent,
            SendReceipts, Sent, SetMemberProfile, SetTyping,
        },
        storage::StorageCommand,
        sync::SyncAsk,
    },
};
use tern_room::{CreateRoomRequest, Profile, Signer, plan};
use tern_testkit::{Executor, Network, StorageNode, TestClock, TestHost, executor::yield_once, network::Exchange};

const ALICE: &str = "@alice:tern.test";
const BOB: &str = "@bob:tern.test";
const CAROL: &str = "@carol:tern.test";

/// What surrounds the room.
struct Around {
    storage: Rc<StorageNode>,
    storage_out: Cell<bool>,
    /// The storage worker does its work, but its answers are lost.
    storage_mute: Cell<bool>,
    appends: Cell<usize>,
    out: RefCell<BTreeSet<String>>,
    /// Hubs that never answer.
    stuck: RefCell<BTreeSet<String>>,
    told: RefCell<Vec<(OwnedUserId, Notice)>>,
    at_once: Cell<usize>,
    most_at_once: Cell<usize>,
    rooms: RefCell<BTreeMap<OwnedRoomId, Rc<RoomActor<TestHost>>>>,
}

/// The network of one room object.
struct Wires(Rc<Around>);

impl Network for Wires {
    fn exchange(&self, target: Target, frame: Vec<u8>) -> Exchange {
        let around = Rc::clone(&self.0);
        async move {
            match target {
                Target::Storage => around.to_storage(&frame).await,
                Target::User(user_id) => around.to_user(user_id, &frame).await,
                Target::Room(room_id) => {
                    let room = around.rooms.borrow().get(&room_id).cloned();
                    match room {
                        Some(room) => Ok(room.handle(frame::read(&frame).unwrap()).await),
                        None => Err(Unreachable("no such room".to_owned())),
                    }
                }
            }
        }
        .boxed_local()
    }
}

impl Around {
    async fn to_storage(&self, frame: &[u8]) -> Result<Vec<u8>, Unreachable> {
        yield_once().await;
        if self.storage_out.get() {
            return Err(Unreachable("out".to_owned()));
        }
        if let Ok(StorageCommand::AppendEvents(_)) = frame::read(frame) {
            self.appends.set(self.appends.get() + 1);
        }
        let reply = self.storage.answer(frame).await;
        if self.storage_mute.get() { Err(Unreachable("lost".to_owned())) } else { Ok(reply) }
    }

    async fn to_user(&self, user_id: OwnedUserId, frame: &[u8]) -> Result<Vec<u8>, Unreachable> {
        self.at_once.set(self.at_once.get() + 1);
        self.most_at_once.set(self.most_at_once.get().max(self.at_once.get()));
        if self.stuck.borrow().contains(user_id.as_str()) {
            std::future::pending::<()>().await;
        }
        yield_once().await;
        self.at_once.set(self.at_once.get() - 1);
        if self.out.borrow().contains(user_id.as_str()) {
            return Err(Unreachable("out".to_owned()));
        }
        let UserCommand::Deliver(deliver) = frame::read(frame).unwrap() else { panic!("only notices are expected") };
        let notices = deliver.notices.into_iter().map(|notice| (user_id.clone(), notice));
        self.told.borrow_mut().extend(notices);
        Ok(frame::write_reply(&Ok(Done {})))
    }
}

/// A room and what surrounds it.
struct Scene {
    around: Rc<Around>,
    host: Rc<TestHost>,
    config: Rc<Config>,
    room_id: OwnedRoomId,
    actor: Rc<RoomActor<TestHost>>,
}

fn config() -> Rc<Config> {
    Rc::new(Config {
        server_name: "tern.test".try_into().unwrap(),
        public_url: None,
        signing_key_id: "ed25519:t".to_owned(),
        signing_key: vec![7; 32],
        token_key: vec![8; 32],
        admin_token: None,
        open_registration: true,
        registration_token: None,
        unlimited: true,
    })
}

fn user(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}

fn caller(id: &str) -> Caller {
    Caller { user_id: user(id), device_id: "PHONE".into() }
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

fn body(event: &RawJson) -> Value {
    event.read().unwrap()
}

/// The command that makes a room, and the room's id.
fn creation(config: &Config, request: &Value, now: tern_model::Millis, seed: u8) -> (OwnedRoomId, CreateRoom) {
    let request: CreateRoomRequest = serde_json::from_value(request.clone()).unwrap();
    let signer = Signer::new(config.server_name.clone(), &config.signing_key_id, &config.signing_key).unwrap();
    let profiles = BTreeMap::from([(user(ALICE), Profile { displayname: Some("Alice".to_owned()), avatar_url: None })]);
    let plan = plan(&request, &user(ALICE), &profiles, [seed; 18], now, &signer).unwrap();
    let drafts = plan.drafts.into_iter().map(|draft| Draft {
        sender: draft.sender,
        kind: draft.kind,
        state_key: draft.state_key,
        content: draft.content,
        redacts: draft.redacts,
    });
    let create =
        CreateRoom { version: plan.version.id.to_owned(), create: plan.create.raw().clone(), drafts: drafts.collect() };
    (plan.room_id, create)
}

impl Scene {
    fn around() -> Rc<Around> {
        Rc::new(Around {
            storage: StorageNode::new(),
            storage_out: Cell::default(),
            storage_mute: Cell::default(),
            appends: Cell::default(),
            out: RefCell::default(),
            stuck: RefCell::default(),
            told: RefCell::default(),
            at_once: Cell::default(),
            most_at_once: Cell::default(),
            rooms: RefCell::default(),
        })
    }

    /// A room that does not exist yet.
    fn empty(around: Rc<Around>, room_id: OwnedRoomId) -> Self {
        let config = config();
        let host = TestHost::on(Rc::new(Wires(Rc::clone(&around))));
        let actor = Rc::new(RoomActor::new(Rc::clone(&host), Rc::clone(&config), room_id.clone()));
        around.rooms.borrow_mut().insert(room_id.clone(), Rc::clone(&actor));
        Self { around, host, config, room_id, actor }
    }

    /// Alice's new room; everything that follows from making it is done, nothing that was told so far is kept.
    fn of(request: &Value) -> Self {
        let (room_id, create) = creation(&config(), request, TestClock::START, 1);
        let scene = Self::empty(Self::around(), room_id);
        scene.ask(create).unwrap();
        scene.calm();
        scene
    }

    /// A public room with Alice and Bob in it.
    fn new() -> Self {
        let scene = Self::of(&json!({ "preset": "public_chat", "name": "Nest" }));
        scene.act(BOB, MembershipAction::Join, BOB).unwrap();
        scene.calm();
        scene
    }

    fn calm(&self) {
        self.host.settle();
        self.around.told.borrow_mut().clear();
    }

    fn ask<R: RoomRequest>(&self, request: R) -> Result<R::Reply, MatrixError> {
        frame::read_reply(&self.host.run(self.actor.handle(request.into())))
    }

    fn command(sender: &str, text: &str, txn_id: &str) -> SendEvent {
        let content = raw(&json!({ "msgtype": "m.text", "body": text }));
        let kind = "m.room.message".to_owned();
        let draft = Draft { sender: user(sender), kind, state_key: None, content, redacts: None };
        SendEvent { draft, device_id: "PHONE".into(), txn_id: Some(txn_id.to_owned()) }
    }

    fn say(&self, sender: &str, text: &str) -> OwnedEventId {
        self.ask(Self::command(sender, text, text)).unwrap().event_id
    }

    fn set(&self, sender: &str, kind: &str, state_key: &str, content: &Value) -> Result<Sent, MatrixError> {
        let draft = Draft {
            sender: user(sender),
            kind: kind.to_owned(),
            state_key: Some(state_key.to_owned()),
            content: raw(content),
            redacts: None,
        };
        self.ask(SendEvent { draft, device_id: "PHONE".into(), txn_id: None })
    }

    fn redact(&self, sender: &str, target: &OwnedEventId) -> Result<Sent, MatrixError> {
        let draft = Draft {
            sender: user(sender),
            kind: "m.room.redaction".to_owned(),
            state_key: None,
            content: raw(&json!({})),
            redacts: Some(target.clone()),
        };
        self.ask(SendEvent { draft, device_id: "PHONE".into(), txn_id: Some(format!("redact {target}")) })
    }

    fn act(&self, who: &str, action: MembershipAction, target: &str) -> Result<Sent, MatrixError> {
        self.ask(ChangeMembership { caller: user(who), action, target: user(target), reason: None, content: None })
    }

    fn probe(&self) -> RoomProbe {
        self.ask(ProbeRoom {}).unwrap()
    }

    /// The same object after an eviction.
    fn evict(&mut self) {
        self.host.settle();
        self.replace(self.host.restarted());
    }

    /// The same object after a crash: nobody finishes what it had begun.
    fn crash(&mut self) {
        self.host.sqlite.crash();
        let host = TestHost { executor: Executor::new(), ..Rc::into_inner(self.host.restarted()).unwrap() };
        self.replace(Rc::new(host));
    }

    fn replace(&mut self, host: Rc<TestHost>) {
        self.host = host;
        self.actor = Rc::new(RoomActor::new(Rc::clone(&self.host), Rc::clone(&self.config), self.room_id.clone()));
        self.around.rooms.borrow_mut().insert(self.room_id.clone(), Rc::clone(&self.actor));
    }

    /// Moves on to the alarm and lets it ring; false when none is set.
    fn ring(&self) -> bool {
        let Some(at) = self.host.alarm.get() else { return false };
        self.host.clock.advance_to(at);
        self.host.due_alarm().unwrap();
        self.host.run(self.actor.alarm());
        self.host.settle();
        self.host.sqlite.make_durable();
        true
    }

    fn ring_until_silent(&self) {
        let mut rings = 0;
        while self.ring() {
            rings += 1;
            assert!(rings < 50, "the alarm never falls silent");
        }
    }

    fn page(&self, who: &str, from: Option<&str>, backwards: bool, limit: u32, filter: Option<&Value>) -> Messages {
        let request = ReadMessages {
            caller: caller(who),
            from: from.map(str::to_owned),
            to: None,
            backwards,
            limit,
            filter: filter.map(raw),
        };
        self.ask(request).unwrap()
    }

    /// All pages, one after the other.
    fn walk(&self, who: &str, backwards: bool, limit: u32) -> Vec<Value> {
        let mut events = Vec::new();
        let mut from = None;
        loop {
            let page = self.page(who, from.as_deref(), backwards, limit, None);
            assert!(page.chunk.len() <= limit as usize);
            events.extend(page.chunk.iter().map(body));
            if page.end.is_none() {
                return events;
            }
            assert_ne!(page.end, from, "paging moves");
            from = page.end;
        }
    }

    /// The notices for one user.
    fn told(&self, who: &str) -> Vec<Notice> {
        let told = self.around.told.borrow();
        told.iter().filter(|(user_id, _)| user_id == who).map(|(_, notice)| notice.clone()).collect()
    }

    /// Positions one user was told of, in the order of telling.
    fn seqs_told(&self, who: &str) -> Vec<u64> {
        self.told(who).iter().flat_map(|notice| &notice.events).map(|event| event.seq.0).collect()
    }
}

fn texts(events: &[Value]) -> Vec<String> {
    let texts = events.iter().filter_map(|event| event["content"]["body"].as_str());
    texts.map(str::to_owned).collect()
}

fn numbered(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

// Sending.

#[test]
fn a_repeated_transaction_gets_the_same_event() {
    let mut scene = Scene::new();
    let first = scene.ask(Scene::command(ALICE, "hello", "1")).unwrap();
    assert_eq!(scene.ask(Scene::command(ALICE, "hello", "1")).unwrap(), first);
    assert_ne!(scene.ask(Scene::command(BOB, "hello", "1")).unwrap(), first);
    scene.crash();
    assert_eq!(scene.ask(Scene::command(ALICE, "hello", "1")).unwrap(), first);
    let bodies = texts(&scene.walk(ALICE, false, 10));
    assert_eq!(bodies, ["hello", "hello"]);
}

#[test]
fn a_room_that_does_not_exist_is_refused_and_writes_nothing() {
    let scene = Scene::empty(Scene::around(), "!none:tern.test".try_into().unwrap());
    let refused = |error: MatrixError| (error.status, error.errcode.into_owned());
    let forbidden = (403, "M_FORBIDDEN".to_owned());
    let not_found = (404, "M_NOT_FOUND".to_owned());
    assert_eq!(refused(scene.ask(Scene::command(ALICE, "x", "1")).unwrap_err()), forbidden);
    assert_eq!(refused(scene.act(ALICE, MembershipAction::Join, ALICE).unwrap_err()), not_found);
    assert_eq!(refused(scene.ask(ReadState { caller: user(ALICE) }).unwrap_err()), forbidden);
    let event = ReadEvent { caller: caller(ALICE), event_id: "$x".try_into().unwrap() };
    assert_eq!(refused(scene.ask(event).unwrap_err()), not_found);
    assert_eq!(refused(scene.ask(SetTyping { user_id: user(ALICE), timeout_ms: 1 }).unwrap_err()), forbidden);
    assert_eq!(scene.probe(), RoomProbe::default());
    scene.host.run(scene.actor.alarm());
    assert_eq!(scene.host.sqlite.rows_written(), 0);
    assert_eq!(scene.host.alarm.get(), None);
    assert!(scene.host.sqlite.query("SELECT * FROM sqlite_master", &[]).unwrap().is_empty());
}

#[test]
fn a_room_is_made_once_and_whole() {
    let (room_id, create) = creation(&config(), &json!({}), TestClock::START, 3);
    let scene = Scene::empty(Scene::around(), room_id);
    let mut broken = create.clone();
    broken.drafts[1].content = raw(&json!({ "users": { "@mallory:tern.test": "a lot" } }));
    assert_eq!(scene.ask(broken).unwrap_err().status, 400);
    assert!(scene.host.sqlite.query("SELECT * FROM sqlite_master", &[]).unwrap().is_empty());
    scene.ask(create.clone()).unwrap();
    assert_eq!(scene.ask(create).unwrap_err().errcode, "M_ROOM_IN_USE");
    let told = scene.told(ALICE);
    assert_eq!(told.len(), 1, "the creator's hub is told before the reply");
    assert_eq!(told[0].membership.as_deref(), Some("join"));
    assert_eq!(told[0].summary.as_ref().unwrap().joined, 1);
}

#[test]
fn concurrent_sends_are_grouped_ordered_and_complete() {
    let scene = Scene::new();
    let before = scene.probe().newest.0;
    let sqlite = &scene.host.sqlite;
    let written = sqlite.rows_written();
    let sends = (1..=50).map(|number| {
        let actor = Rc::clone(&scene.actor);
        let command =
            Scene::command(if number % 2 == 0 { ALICE } else { BOB }, &number.to_string(), &number.to_string());
        async move { frame::read_reply::<Sent>(&actor.handle(command.into()).await).unwrap().event_id }
    });
    let ids: BTreeSet<_> = scene.host.run(join_all(sends)).into_iter().collect();
    assert_eq!(ids.len(), 50);
    // 50 events and one head per group: a first group of one, a second of all who came during its commit.
    assert_eq!(sqlite.rows_written() - written, 52);
    scene.host.settle();
    assert_eq!(scene.probe().newest.0, before + 50);
    let seen = texts(&scene.walk(ALICE, false, 7));
    assert_eq!(seen, numbered(1..=50));
    assert_eq!(scene.seqs_told(BOB), (before + 1..=before + 50).collect::<Vec<_>>());
    assert_eq!(scene.seqs_told(ALICE), scene.seqs_told(BOB));
}

#[test]
fn a_message_costs_four_rows() {
    let scene = Scene::new();
    scene.ring_until_silent();
    let written = scene.host.sqlite.rows_written();
    scene.say(ALICE, "hello");
    // Two rows as SQLite counts; the platform adds those of the two indices of `events`.
    assert_eq!(scene.host.sqlite.rows_written() - written, 2);
    let indices = "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events'";
    assert_eq!(scene.host.sqlite.query(indices, &[]).unwrap()[0].int(0), Some(2));
    scene.host.settle();
    assert_eq!(scene.host.sqlite.rows_written() - written, 2, "cursors wait for the next commit or the alarm");
    scene.ring_until_silent();
    assert_eq!(scene.host.sqlite.rows_written() - written, 3);
    assert_eq!(scene.host.alarm.get(), None);
}

#[test]
fn refusals_carry_the_codes_of_the_spec() {
    let scene = Scene::new();
    let code = |result: Result<Sent, MatrixError>| result.map_err(|error| (error.status, error.errcode.into_owned()));
    assert_eq!(code(scene.ask(Scene::command(CAROL, "x", "1"))).unwrap_err(), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(
        code(scene.set(BOB, "m.room.name", "", &json!({ "name": "Mine" }))).unwrap_err(),
        (403, "M_FORBIDDEN".to_owned())
    );
    let large = "x".repeat(65_536);
    assert_eq!(code(scene.ask(Scene::command(ALICE, &large, "2"))).unwrap_err(), (413, "M_TOO_LARGE".to_owned()));
    let unknown = "$nothing".try_into().unwrap();
    assert_eq!(code(scene.redact(ALICE, &unknown)).unwrap_err(), (404, "M_NOT_FOUND".to_owned()));
    let newest = scene.probe().newest;
    let same = scene.set(ALICE, "m.room.name", "", &json!({ "name": "Nest" })).unwrap();
    assert_eq!(scene.probe().newest, newest, "the same state again is no event");
    let name = ReadStateEvent { caller: user(BOB), kind: "m.room.name".to_owned(), state_key: String::new() };
    assert_eq!(body(&scene.ask(name).unwrap())["event_id"], same.event_id.as_str());
}

// Memberships.

#[test]
fn joining_twice_and_other_no_changes_answer_with_the_event_that_is() {
    let scene = Scene::of(&json!({ "preset": "public_chat" }));
    let joined = scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let newest = scene.probe().newest;
    assert_eq!(scene.act(BOB, MembershipAction::Join, BOB).unwrap(), joined);
    assert_eq!(scene.probe().newest, newest);
    let left = scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    assert_eq!(scene.act(BOB, MembershipAction::Leave, BOB).unwrap(), left);
    scene.act(ALICE, MembershipAction::Ban, BOB).unwrap();
    assert_eq!(scene.act(BOB, MembershipAction::Join, BOB).unwrap_err().status, 403);
    scene.act(ALICE, MembershipAction::Unban, BOB).unwrap();
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let members = ReadJoinedMembers { caller: user(BOB) };
    let members: Vec<_> = scene.ask(members).unwrap().into_iter().map(|member| member.user_id).collect();
    assert_eq!(members, [ALICE, BOB]);
}

#[test]
fn invites_carry_stripped_state_and_leaves_end_the_telling() {
    let scene = Scene::of(&json!({ "name": "Nest" }));
    scene.act(ALICE, MembershipAction::Invite, BOB).unwrap();
    let invite = &scene.told(BOB)[0];
    assert_eq!(invite.membership.as_deref(), Some("invite"));
    assert!(invite.summary.is_none());
    let kinds: Vec<_> = invite.stripped.iter().map(|event| body(event)["type"].clone()).collect();
    assert!(kinds.contains(&json!("m.room.name")) && kinds.last() == Some(&json!("m.room.member")));
    scene.host.settle();
    scene.calm();
    scene.say(ALICE, "to herself");
    scene.host.settle();
    assert!(scene.told(BOB).is_empty());
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let join = &scene.told(BOB)[0];
    assert_eq!((join.membership.as_deref(), join.events.len()), (Some("join"), 1));
    assert_eq!(join.summary.as_ref().unwrap().joined, 2);
    scene.act(ALICE, MembershipAction::Kick, BOB).unwrap();
    scene.host.settle();
    let kick = scene.told(BOB).pop().unwrap();
    assert_eq!((kick.membership.as_deref(), kick.events.len()), (Some("leave"), 1));
    scene.calm();
    scene.say(ALICE, "alone again");
    scene.host.settle();
    assert!(scene.told(BOB).is_empty());
    assert_eq!(scene.probe().announced, scene.probe().newest);
}

#[test]
fn a_profile_reaches_the_member_event_of_the_joined_only() {
    let scene = Scene::new();
    let newest = scene.probe().newest;
    let rename = |who: &str, name: &str| SetMemberProfile {
        user_id: user(who),
        displayname: Some(name.to_owned()),
        avatar_url: None,
    };
    scene.ask(rename(CAROL, "Caro")).unwrap();
    scene.ask(rename(ALICE, "Alice")).unwrap();
    assert_eq!(scene.probe().newest, newest);
    scene.ask(rename(BOB, "Robert")).unwrap();
    let members = scene.ask(ReadJoinedMembers { caller: user(ALICE) }).unwrap();
    let bob = members.iter().find(|member| member.user_id == BOB).unwrap();
    assert_eq!(bob.display_name.as_deref(), Some("Robert"));
}

#[test]
fn a_restricted_room_lets_in_the_members_of_the_room_it_names() {
    let outer = Scene::new();
    let rules = json!({
        "initial_state": [{
            "type": "m.room.join_rules",
            "content": {
                "join_rule": "restricted",
                "allow": [{ "type": "m.room_membership", "room_id": outer.room_id }],
            },
        }],
    });
    let (room_id, create) = creation(&config(), &rules, TestClock::START, 9);
    let inner = Scene::empty(Rc::clone(&outer.around), room_id);
    inner.ask(create).unwrap();
    assert_eq!(inner.act(CAROL, MembershipAction::Join, CAROL).unwrap_err().status, 403);
    inner.act(BOB, MembershipAction::Join, BOB).unwrap();
    let member = ReadStateEvent { caller: user(BOB), kind: "m.room.member".to_owned(), state_key: BOB.to_owned() };
    let member = body(&inner.ask(member).unwrap());
    assert_eq!(member["content"]["join_authorised_via_users_server"], ALICE);
}

// Announcing.

#[test]
fn the_sender_hears_of_the_transaction_and_nobody_else() {
    let scene = Scene::new();
    scene.ask(Scene::command(ALICE, "hello", "txn 7")).unwrap();
    scene.host.settle();
    let txn = |who: &str| scene.told(who)[0].events[0].txn.clone().map(|txn| txn.txn_id);
    assert_eq!(txn(ALICE).as_deref(), Some("txn 7"));
    assert_eq!(txn(BOB), None);
    assert!(scene.told(BOB)[0].summary.is_none(), "a message changes no summary");
    scene.calm();
    scene.set(ALICE, "m.room.name", "", &json!({ "name": "Cliff" })).unwrap();
    scene.host.settle();
    assert_eq!(scene.told(BOB)[0].summary.as_ref().unwrap().name.as_deref(), Some("Cliff"));
}

#[test]
fn a_hub_that_is_out_is_told_later_and_delays_nobody() {
    let mut scene = Scene::new();
    let before = scene.probe().newest.0;
    scene.around.out.borrow_mut().insert(BOB.to_owned());
    scene.say(ALICE, "1");
    scene.say(ALICE, "2");
    scene.host.settle();
    assert_eq!(scene.seqs_told(ALICE), [before + 1, before + 2]);
    assert_eq!(scene.probe().announced.0, before + 2, "a laggard's row stands in for the cursor");
    assert!(scene.ring());
    assert!(scene.ring(), "the alarm goes on trying");
    scene.crash();
    scene.around.out.borrow_mut().clear();
    scene.ring_until_silent();
    assert_eq!(scene.seqs_told(BOB), [before + 1, before + 2]);
    let rows = scene.host.sqlite.query("SELECT * FROM laggards", &[]).unwrap();
    assert!(rows.is_empty());
}

#[test]
fn a_laggard_gets_everything_with_the_next_event() {
    let scene = Scene::new();
    let before = scene.probe().newest.0;
    scene.around.out.borrow_mut().insert(BOB.to_owned());
    scene.say(ALICE, "1");
    scene.host.settle();
    scene.around.out.borrow_mut().clear();
    scene.say(ALICE, "2");
    scene.host.settle();
    assert_eq!(scene.told(BOB).len(), 1);
    assert_eq!(scene.seqs_told(BOB), [before + 1, before + 2]);
}

#[test]
fn a_stuck_hub_holds_up_neither_the_others_nor_a_crash() {
    let mut scene = Scene::new();
    let before = scene.probe().newest.0;
    scene.around.stuck.borrow_mut().insert(BOB.to_owned());
    for number in 1..=5 {
        scene.say(ALICE, &number.to_string());
        scene.host.settle();
    }
    assert_eq!(scene.seqs_told(ALICE), (before + 1..=before + 5).collect::<Vec<_>>());
    assert_eq!(scene.probe().announced.0, before, "the cursor does not pass who is being told");
    scene.around.stuck.borrow_mut().clear();
    scene.crash();
    scene.ring_until_silent();
    assert_eq!(scene.seqs_told(BOB), (before + 1..=before + 5).collect::<Vec<_>>());
    assert_eq!(scene.probe().announced.0, before + 5);
}

#[test]
fn at_most_six_hubs_are_told_at_once() {
    let scene = Scene::new();
    for number in 0..20 {
        let id = format!("@user{number}:tern.test");
        scene.act(&id, MembershipAction::Join, &id).unwrap();
        scene.host.settle();
    }
    scene.around.most_at_once.set(0);
    scene.around.told.borrow_mut().clear();
    scene.say(ALICE, "all");
    scene.host.settle();
    assert_eq!(scene.around.told.borrow().len(), 22);
    assert_eq!(scene.around.most_at_once.get(), 6);
}

#[test]
fn a_long_absence_shows_as_a_gap_with_the_membership() {
    let scene = Scene::new();
    scene.around.out.borrow_mut().insert(CAROL.to_owned());
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let joined = scene.probe().newest.0;
    for number in 0..150 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.settle();
    scene.around.out.borrow_mut().clear();
    scene.ring_until_silent();
    let notice = &scene.told(CAROL)[0];
    assert_eq!(notice.membership.as_deref(), Some("join"));
    assert_eq!(notice.summary.as_ref().unwrap().joined, 3);
    assert_eq!(notice.events.first().unwrap().seq.0, joined + 51);
    assert_eq!(notice.events.last().unwrap().seq.0, joined + 150);
}

// Forwarding.

#[test]
fn an_outage_of_storage_delays_history_and_nothing_else() {
    let mut scene = Scene::new();
    scene.around.storage_out.set(true);
    let before = scene.probe().forwarded;
    for number in 1..=250 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.settle();
    assert_eq!(scene.probe().forwarded, before);
    assert_eq!(texts(&scene.walk(BOB, false, 100)), numbered(1..=250));
    assert!(scene.ring());
    scene.evict();
    scene.around.storage_out.set(false);
    scene.around.appends.set(0);
    scene.ring_until_silent();
    let probe = scene.probe();
    assert_eq!(probe.forwarded, probe.newest);
    assert_eq!(scene.around.appends.get(), 3, "100 at a time");
    assert_eq!(stored_texts(&scene), numbered(1..=250));
}

#[test]
fn lost_answers_of_storage_double_nothing() {
    let mut scene = Scene::new();
    scene.around.storage_mute.set(true);
    let target = scene.say(ALICE, "1");
    scene.redact(ALICE, &target).unwrap();
    scene.say(ALICE, "2");
    scene.host.settle();
    assert!(scene.probe().forwarded < scene.probe().newest);
    scene.crash();
    scene.around.storage_mute.set(false);
    scene.ring_until_silent();
    assert_eq!(scene.probe().forwarded, scene.probe().newest);
    assert_eq!(stored_texts(&scene), ["2"]);
}

/// Texts of all messages as the storage worker has them.
fn stored_texts(scene: &Scene) -> Vec<String> {
    let ask = tern_ports::wire::storage::PageEvents {
        room_id: scene.room_id.clone(),
        user_id: user(ALICE),
        after: RoomSeq(0),
        until: scene.probe().newest,
        backwards: false,
        limit: 1_000,
    };
    let page = scene.host.run(tern_ports::ask_storage(&*scene.host, ask)).unwrap();
    let seqs: Vec<_> = page.events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=scene.probe().newest.0).collect::<Vec<_>>());
    let events: Vec<Value> = page.events.iter().map(|event| body(&event.pdu)).collect();
    texts(&events)
}

// Crashes.

#[test]
fn what_was_acknowledged_survives_a_crash_at_every_step() {
    for steps in 0..40 {
        let mut scene = Scene::new();
        scene.host.sqlite.make_durable();
        let before = scene.probe().newest.0;
        let reply = Rc::new(RefCell::new(None));
        let (actor, answered) = (Rc::clone(&scene.actor), Rc::clone(&reply));
        scene.host.executor.spawn(Box::pin(async move {
            let bytes = actor.handle(Scene::command(ALICE, "hello", "1").into()).await;
            answered.replace(Some(frame::read_reply::<Sent>(&bytes).unwrap().event_id));
        }));
        for _ in 0..steps {
            scene.host.executor.step();
        }
        scene.crash();
        let acknowledged = reply.take();
        if acknowledged.is_some() {
            scene.ring_until_silent();
        }
        let again = scene.say_with_txn("hello", "1");
        if let Some(acknowledged) = acknowledged {
            assert_eq!(again, acknowledged, "after {steps} steps");
        }
        scene.host.settle();
        scene.ring_until_silent();
        let probe = scene.probe();
        assert_eq!((probe.newest.0, probe.announced.0, probe.forwarded.0), (before + 1, before + 1, before + 1));
        assert_eq!(stored_texts(&scene), ["hello"]);
        assert!(scene.seqs_told(BOB).contains(&(before + 1)), "told at least once, after {steps} steps");
    }
}

impl Scene {
    fn say_with_txn(&self, text: &str, txn_id: &str) -> OwnedEventId {
        self.ask(Self::command(ALICE, text, txn_id)).unwrap().event_id
    }

    /// 300 messages, of which the storage worker has all and the room only the newest.
    fn with_trimmed_tail() -> Self {
        let scene = Self::new();
        for number in 1..=300 {
            scene.say(ALICE, &number.to_string());
        }
        scene.host.settle();
        scene.ring_until_silent();
        scene.host.clock.advance(60 * 60 * 1000);
        for number in 301..=350 {
            scene.say(BOB, &number.to_string());
        }
        scene.host.settle();
        scene.ring_until_silent();
        let kept = scene.host.sqlite.query("SELECT count(*) FROM events WHERE kind = 'm.room.message'", &[]).unwrap();
        assert!(kept[0].int(0).unwrap() < 300, "old messages were trimmed");
        scene
    }
}

// History.

#[test]
fn pages_of_any_size_join_the_tail_with_storage() {
    let mut scene = Scene::with_trimmed_tail();
    for limit in [1, 10, 500] {
        let mut backwards = texts(&scene.walk(ALICE, true, limit));
        backwards.reverse();
        assert_eq!(backwards, numbered(1..=350), "backwards by {limit}");
        assert_eq!(texts(&scene.walk(BOB, false, limit)), numbered(1..=350), "forwards by {limit}");
    }
    scene.evict();
    let create = scene.walk(ALICE, true, 100).pop().unwrap();
    assert_eq!(
        (create["type"].as_str(), create["room_id"].as_str()),
        (Some("m.room.create"), Some(scene.room_id.as_str()))
    );
    let empty = scene.page(ALICE, Some("t0"), true, 10, None);
    assert!(empty.chunk.is_empty() && empty.end.is_none());
}

#[test]
fn without_storage_the_tail_can_be_read_and_the_rest_says_so() {
    let scene = Scene::with_trimmed_tail();
    scene.around.storage_out.set(true);
    let page = scene.page(ALICE, None, true, 500, None);
    assert!(page.chunk.len() >= 200 && page.end.is_some());
    let more =
        ReadMessages { caller: caller(ALICE), from: page.end, to: None, backwards: true, limit: 10, filter: None };
    assert_eq!(scene.ask(more).unwrap_err().status, 503);
}

#[test]
fn paging_backwards_is_stable_while_others_write() {
    let scene = Scene::new();
    for number in 1..=20 {
        scene.say(ALICE, &number.to_string());
    }
    let first = scene.page(BOB, None, true, 10, None);
    for number in 21..=40 {
        scene.say(ALICE, &number.to_string());
    }
    let second = scene.page(BOB, first.end.as_deref(), true, 10, None);
    let bodies: Vec<Value> = first.chunk.iter().chain(&second.chunk).map(body).collect();
    let mut seen = texts(&bodies);
    seen.reverse();
    assert_eq!(seen, numbered(1..=20));
    let newer = scene.page(BOB, Some(&first.start), false, 100, None);
    let newer: Vec<Value> = newer.chunk.iter().map(body).collect();
    assert_eq!(texts(&newer), numbered(21..=40));
}

#[test]
fn filters_choose_and_tokens_are_checked() {
    let scene = Scene::new();
    scene.say(ALICE, "1");
    scene.say(BOB, "2");
    let members = scene.page(ALICE, None, true, 50, Some(&json!({ "types": ["m.room.mem*"] })));
    assert_eq!(members.chunk.len(), 2);
    let lazy = json!({ "not_types": ["m.room.*"], "lazy_load_members": true });
    assert!(scene.page(ALICE, None, true, 50, Some(&lazy)).state.is_empty());
    let lazy = json!({ "types": ["m.room.message"], "senders": [BOB], "lazy_load_members": true });
    let page = scene.page(ALICE, None, true, 50, Some(&lazy));
    assert_eq!((page.chunk.len(), page.state.len()), (1, 1));
    assert_eq!(body(&page.state[0])["state_key"], BOB);
    let own = body(&scene.page(BOB, None, true, 1, None).chunk[0]);
    assert_eq!(own["unsigned"]["transaction_id"], "2");
    for token in ["", "t", "t-1", "x1", "t99999999999999999999"] {
        let request = ReadMessages {
            caller: caller(ALICE),
            from: Some(token.to_owned()),
            to: None,
            backwards: true,
            limit: 1,
            filter: None,
        };
        assert_eq!(scene.ask(request).unwrap_err().status, 400, "{token}");
    }
}

// Visibility.

#[test]
fn whoever_joins_late_sees_what_the_visibility_says() {
    let joined_only = json!({ "preset": "public_chat", "initial_state": [
        { "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } },
    ] });
    let scene = Scene::of(&joined_only);
    let secret = scene.say(ALICE, "before");
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    scene.say(ALICE, "after");
    assert_eq!(texts(&scene.walk(BOB, true, 3)), ["after"]);
    assert_eq!(texts(&scene.walk(ALICE, true, 3)), ["after", "before"]);
    let read = |who: &str| scene.ask(ReadEvent { caller: caller(who), event_id: secret.clone() });
    assert_eq!(read(BOB).unwrap_err().status, 404);
    assert_eq!(body(&read(ALICE).unwrap())["content"]["body"], "before");
}

#[test]
fn whoever_left_reads_up_to_the_leaving() {
    let mut scene = Scene::new();
    scene.say(ALICE, "1");
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "old" })).unwrap();
    scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "new" })).unwrap();
    scene.set(ALICE, "m.room.avatar", "", &json!({ "url": "mxc://tern.test/a" })).unwrap();
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    let check = |scene: &Scene| {
        assert_eq!(texts(&scene.walk(BOB, true, 2)), ["1"]);
        let state = scene.ask(ReadState { caller: user(BOB) }).unwrap();
        let topics: Vec<_> = state.iter().map(body).filter(|event| event["type"] == "m.room.topic").collect();
        assert_eq!(topics[0]["content"]["topic"], "old");
        assert!(!state.iter().any(|event| body(event)["type"] == "m.room.avatar"));
        let members = ReadMembers { caller: user(BOB), at: None, membership: None, not_membership: None };
        let members: Vec<_> =
            scene.ask(members).unwrap().iter().map(|event| body(event)["state_key"].clone()).collect();
        assert_eq!(members, [ALICE, BOB]);
        let topic = ReadStateEvent { caller: user(BOB), kind: "m.room.avatar".to_owned(), state_key: String::new() };
        assert_eq!(scene.ask(topic).unwrap_err().status, 404);
        assert_eq!(scene.ask(ReadJoinedMembers { caller: user(BOB) }).unwrap_err().status, 403);
        let nobody = ReadState { caller: user("@nobody:tern.test") };
        assert_eq!(scene.ask(nobody).unwrap_err().status, 403);
    };
    check(&scene);
    for number in 0..320 {
        scene.say(ALICE, &format!("later {number}"));
    }
    scene.host.settle();
    scene.host.clock.advance(60 * 60 * 1000);
    scene.say(ALICE, "much later");
    scene.host.settle();
    scene.evict();
    check(&scene);
}

#[test]
fn members_at_a_point_in_time() {
    let scene = Scene::new();
    let then = scene.page(ALICE, None, true, 1, None).start;
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    scene.act(BOB, MembershipAction::Leave, BOB).unwrap();
    let members = |at: Option<&str>, membership: Option<&str>, not: Option<&str>| {
        let ask = ReadMembers {
            caller: user(ALICE),
            at: at.map(str::to_owned),
            membership: membership.map(str::to_owned),
            not_membership: not.map(str::to_owned),
        };
        let events = scene.ask(ask).unwrap();
        events.iter().map(|event| body(event)["state_key"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(members(None, Some("join"), None), set(&[ALICE, CAROL]));
    assert_eq!(members(None, None, Some("join")), set(&[BOB]));
    assert_eq!(members(Some(&then), None, None), set(&[ALICE, BOB]));
}

// Redactions.

#[test]
fn a_redaction_empties_the_event_here_and_in_storage() {
    let scene = Scene::with_trimmed_tail();
    let ids = |text: &str| {
        let all = scene.walk(ALICE, true, 500);
        let event = all.iter().find(|event| event["content"]["body"] == text).unwrap();
        OwnedEventId::try_from(event["event_id"].as_str().unwrap()).unwrap()
    };
    let (old, new) = (ids("5"), ids("345"));
    assert_eq!(scene.redact(CAROL, &old).unwrap_err().status, 403);
    assert_eq!(scene.redact(BOB, &old).unwrap_err().status, 403, "not his, and no power");
    scene.redact(ALICE, &old).unwrap();
    scene.redact(ALICE, &new).unwrap();
    scene.host.settle();
    let told = scene.told(BOB);
    let events = told.iter().flat_map(|notice| &notice.events);
    let redacted: Vec<_> = events.filter_map(|event| event.redacts.clone()).collect();
    assert_eq!(redacted, [old.clone(), new.clone()]);
    let left = texts(&scene.walk(BOB, true, 500));
    assert_eq!(left.len(), 348);
    for id in [old, new] {
        let event = body(&scene.ask(ReadEvent { caller: caller(BOB), event_id: id }).unwrap());
        assert_eq!(event["content"], json!({}));
        assert_eq!(event["unsigned"]["redacted_because"]["type"], "m.room.redaction");
    }
    assert_eq!(stored_texts(&scene).len(), 348);
}

#[test]
fn a_redacted_state_event_leaves_no_copy_and_changes_the_summary() {
    let scene = Scene::new();
    let first = scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "slander" })).unwrap();
    let second = scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "birds" })).unwrap();
    scene.host.settle();
    scene.calm();
    scene.redact(ALICE, &first.event_id).unwrap();
    let topic = || ReadStateEvent { caller: user(BOB), kind: "m.room.topic".to_owned(), state_key: String::new() };
    let event = body(&scene.ask(topic()).unwrap());
    assert_eq!(event["content"]["topic"], "birds");
    assert_eq!(event["unsigned"]["prev_content"], json!({}));
    scene.redact(ALICE, &second.event_id).unwrap();
    assert_eq!(body(&scene.ask(topic()).unwrap())["content"], json!({}));
    scene.host.settle();
    let last = scene.told(BOB).pop().unwrap();
    assert_eq!(last.summary.unwrap().topic, None);
}

// Typing and receipts.

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
fn receipts_move_forward_only_and_are_written_together() {
    let mut scene = Scene::new();
    let (first, second) = (scene.say(ALICE, "1"), scene.say(ALICE, "2"));
    scene.host.settle();
    scene.ring_until_silent();
    scene.calm();
    let written = scene.host.sqlite.rows_written();
    let read = |scene: &Scene, who: &str, kind: &str, event_id: &OwnedEventId| {
        let receipt = ReceiptDraft { kind: kind.to_owned(), event_id: event_id.clone(), thread_id: None };
        scene.ask(SendReceipts { user_id: user(who), receipts: vec![receipt] })
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

// Slices.

#[test]
fn a_slice_is_what_storage_would_say() {
    let scene = Scene::with_trimmed_tail();
    let newest = scene.probe().newest;
    let ask = |after: Option<u64>, until: Option<u64>, limit: u32| SyncAsk {
        room_id: scene.room_id.clone(),
        user_id: user(BOB),
        after: after.map(RoomSeq),
        until: until.map(RoomSeq),
        limit,
        state: vec![("m.room.name".to_owned(), String::new()), ("m.room.member".to_owned(), ALICE.to_owned())],
        lazy: true,
    };
    let asks = [
        ask(None, None, 10),
        ask(None, None, 300),
        ask(None, None, 1_000),
        ask(Some(newest.0 - 5), None, 20),
        ask(Some(newest.0 - 5), None, 2),
        ask(Some(newest.0), None, 20),
        ask(None, Some(20), 5),
        ask(None, Some(newest.0 - 3), 5),
        ask(None, None, 0),
    ];
    for ask in asks {
        let here = scene.ask(ReadSlice { ask: ask.clone() }).unwrap();
        let rooms = tern_ports::wire::storage::SyncRooms { rooms: vec![ask.clone()] };
        let there = scene.host.run(tern_ports::ask_storage(&*scene.host, rooms)).unwrap().remove(0);
        assert!(here.summary.is_some());
        assert_eq!(here.through, there.through);
        let most = here.timeline.len().min(there.timeline.len());
        assert!(most == ask.limit as usize || most == there.timeline.len() || ask.limit > 500, "{ask:?}");
        let tail = |events: &[tern_model::StoredEvent]| events[events.len() - most..].to_vec();
        assert_eq!(tail(&here.timeline), tail(&there.timeline), "{ask:?}");
        if ask.limit <= 500 {
            assert_eq!((here.limited, &here.state), (there.limited, &there.state), "{ask:?}");
        }
    }
    let stranger = SyncAsk { user_id: user(CAROL), ..ask(None, None, 1) };
    assert_eq!(scene.ask(ReadSlice { ask: stranger }).unwrap_err().status, 403);
    scene.around.storage_out.set(true);
    let short = scene.ask(ReadSlice { ask: ask(None, None, 400) }).unwrap();
    assert!(short.limited && short.timeline.len() >= 200);
}

#[test]
fn commands_of_every_kind_are_answered_with_a_frame() {
    let scene = Scene::new();
    let command: RoomCommand = ReadJoinedMembers { caller: UserId::parse(ALICE).unwrap() }.into();
    assert_eq!(command.name(), "ReadJoinedMembers");
    let reply = scene.host.run(scene.actor.handle(command));
    assert!(reply.starts_with(b"1\n{\"Ok\""));
}
