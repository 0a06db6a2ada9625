//! A hub with a few words to talk to it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedRoomId, RoomId, UserId, user_id};
use serde_json::{Value, json};
use tern_model::{
    Accounts, Config, Limits, MatrixError, Millis, Notice, NoticeEvent, RawJson, RoomSeq, RoomSummary, StoredEvent,
    TxnRef,
};
use tern_ports::{
    ObjectHost as _, Sql as _,
    wire::{
        Done, RoomCommand, StorageCommand, UserCommand, UserRequest, frame,
        storage::UserRow,
        sync::{SyncAsk, SyncRoom, VisibilityFacts},
        user::{ClassicSync, Deliver, OpenSession, SessionRef, SlidingSync, SyncStep},
    },
};
use tern_testkit::{Executor, Routes, TestClock, TestHost, network::reply};
use tern_user_hub::{Handled, UserActor};

pub(crate) fn alice() -> &'static UserId {
    user_id!("@alice:x")
}

pub(crate) fn bob() -> &'static UserId {
    user_id!("@bob:x")
}

pub(crate) fn room(name: &str) -> OwnedRoomId {
    RoomId::parse(format!("!{name}:x")).unwrap()
}

pub(crate) fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

/// Alice's hub.
pub(crate) struct Hub {
    pub(crate) host: Rc<TestHost>,
    pub(crate) actor: Rc<UserActor<TestHost>>,
    pub(crate) routes: Rc<Routes>,
    /// What rooms' hubs know, whether they told it or not.
    pub(crate) rooms: Rc<Rooms>,
    /// What the storage worker knows of it.
    pub(crate) storage: Rc<Rooms>,
    presence: bool,
}

/// Rooms' events, as somebody outside the hub has them.
#[derive(Default)]
pub(crate) struct Rooms {
    events: RefCell<BTreeMap<OwnedRoomId, BTreeMap<u64, StoredEvent>>>,
    /// Rooms of which it is not known here that the user is in them.
    strange: RefCell<BTreeSet<OwnedRoomId>>,
}

impl Rooms {
    pub(crate) fn learn(&self, room_id: &RoomId, events: &[NoticeEvent]) {
        let mut rooms = self.events.borrow_mut();
        let room = rooms.entry(room_id.to_owned()).or_default();
        for event in events {
            room.entry(event.seq.0).or_insert_with(|| stored(event));
        }
    }

    /// Old messages `from` to `through`, which nobody was told of.
    pub(crate) fn history(&self, name: &str, from: u64, through: u64) {
        let events: Vec<_> = (from..=through).map(|seq| message(seq, &format!("m{seq}"))).collect();
        self.learn(&room(name), &events);
    }

    /// Old messages up to `through`, before the user came.
    pub(crate) fn before_the_join(&self, name: &str, through: u64) {
        self.history(name, 1, through);
        self.strange.borrow_mut().insert(room(name));
    }

    /// Leaves of an event what redaction leaves.
    pub(crate) fn redact(&self, room_id: &RoomId, seq: u64) {
        if let Some(event) = self.events.borrow_mut().get_mut(room_id).and_then(|room| room.get_mut(&seq)) {
            let content: Value = event.pdu.read::<Value>().unwrap()["content"].take();
            // Since room version 11 a redaction still tells what it redacted.
            let kept = content.get("redacts").map_or_else(|| json!({}), |target| json!({ "redacts": target }));
            event.pdu = raw(&json!({"type": event.kind, "content": kept}));
            event.unsigned = Some(raw(&json!({"redacted_because": {"type": "m.room.redaction"}})));
        }
    }

    pub(crate) fn slice(&self, ask: &SyncAsk) -> SyncRoom {
        let rooms = self.events.borrow();
        let empty = BTreeMap::new();
        let room = rooms.get(&ask.room_id).unwrap_or(&empty);
        let (after, until) = (ask.after.unwrap_or_default().0, ask.until.map_or(u64::MAX, |until| until.0));
        let mut timeline: Vec<_> = room.values().filter(|e| e.seq.0 > after && e.seq.0 <= until).cloned().collect();
        let surplus = timeline.len().saturating_sub(ask.limit as usize);
        timeline.drain(..surplus);
        let wanted = |event: &&StoredEvent| {
            let key = event.state_key.as_deref();
            ask.state.iter().any(|(kind, wanted)| {
                (kind == "*" || *kind == event.kind) && key.is_some_and(|key| wanted == "*" || wanted == key)
            })
        };
        SyncRoom {
            room_id: ask.room_id.clone(),
            through: RoomSeq(room.keys().next_back().copied().unwrap_or(0).min(until)),
            limited: surplus > 0,
            timeline,
            state: room.values().filter(wanted).cloned().collect(),
            facts: VisibilityFacts {
                history: vec![(RoomSeq(1), "shared".to_owned())],
                membership: if self.strange.borrow().contains(&ask.room_id) {
                    Vec::new()
                } else {
                    vec![(RoomSeq(1), "join".to_owned())]
                },
            },
            summary: None,
            over: false,
        }
    }
}

fn stored(event: &NoticeEvent) -> StoredEvent {
    let client: Value = event.client.read().unwrap();
    StoredEvent {
        seq: event.seq,
        event_id: event.event_id.clone(),
        kind: event.kind.clone(),
        sender: event.sender.to_string(),
        state_key: event.state_key.clone(),
        ts: event.ts,
        pdu: match client.get("redacts") {
            Some(target) => raw(&json!({"type": event.kind, "content": client["content"], "redacts": target})),
            None => raw(&json!({"type": event.kind, "content": client["content"]})),
        },
        unsigned: client.get("unsigned").map(raw),
        txn: event.txn.clone(),
    }
}

/// What became of a sync.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Answer(Value),
    Waiting(u32),
    Soon,
}

impl Step {
    pub(crate) fn body(self) -> Value {
        match self {
            Self::Answer(body) => body,
            other => panic!("no answer but {other:?}"),
        }
    }

    pub(crate) fn kinds(self) -> u32 {
        match self {
            Self::Waiting(kinds) => kinds,
            other => panic!("not parked but {other:?}"),
        }
    }
}

impl Hub {
    pub(crate) fn new() -> Self {
        let routes = Routes::new();
        let host = TestHost::on(Rc::clone(&routes) as _);
        let (rooms, storage) = (Rc::<Rooms>::default(), Rc::<Rooms>::default());
        let (all, some) = (Rc::clone(&rooms), Rc::clone(&storage));
        routes.rooms(move |_, command| match command {
            RoomCommand::ReadSlice(command) => reply(all.slice(&command.ask)),
            other => panic!("{other:?}"),
        });
        routes.storage(move |command| match command {
            StorageCommand::SyncRooms(command) => {
                reply(command.rooms.iter().map(|ask| some.slice(ask)).collect::<Vec<_>>())
            }
            StorageCommand::LoadUser(_) => reply(Some(registered())),
            StorageCommand::PublishProfile(_) | StorageCommand::PublishKeys(_) => reply(Done {}),
            other => panic!("{other:?}"),
        });
        Self { actor: actor(&host, false), host, routes, rooms, storage, presence: false }
    }

    /// As [`Self::new`], on a server that tells who is there.
    pub(crate) fn with_presence() -> Self {
        let hub = Self::new();
        Self { actor: actor(&hub.host, true), presence: true, ..hub }
    }

    /// The alarm rings.
    pub(crate) fn ring(&self) {
        if self.host.due_alarm().is_none() {
            return;
        }
        self.host.run(self.actor.alarm());
        self.host.settle();
    }

    fn on(&self, host: Rc<TestHost>) -> Self {
        let (rooms, storage) = (Rc::clone(&self.rooms), Rc::clone(&self.storage));
        let (actor, routes) = (actor(&host, self.presence), Rc::clone(&self.routes));
        Self { actor, host, routes, rooms, storage, presence: self.presence }
    }

    /// The same hub after it slept.
    pub(crate) fn slept(&self) -> Self {
        self.host.sqlite.make_durable();
        self.on(alone(self.host.restarted()))
    }

    /// The same hub after it crashed.
    pub(crate) fn crashed(&self) -> Self {
        self.on(alone(self.host.crashed()))
    }

    /// Sends a command; as on the platform, the reply leaves when everything is durable.
    pub(crate) fn handle(&self, command: impl Into<UserCommand>) -> Handled {
        let handled = self.host.run(self.actor.handle(command.into()));
        self.host.sqlite.make_durable();
        handled
    }

    pub(crate) fn ask<R: UserRequest>(&self, request: R) -> Result<R::Reply, MatrixError> {
        match self.handle(request) {
            Handled::Reply(reply) => frame::read_reply(&reply),
            Handled::Hold { .. } => panic!("parked"),
        }
    }

    pub(crate) fn login(&self, device: &str) -> SessionRef {
        let session = self.ask(open(Some(device), false)).unwrap();
        SessionRef { device_id: session.device_id, session_id: session.session_id }
    }

    pub(crate) fn deliver(&self, notices: Vec<Notice>) {
        for notice in &notices {
            self.rooms.learn(&notice.room_id, &notice.events);
        }
        self.ask(Deliver { notices }).unwrap();
    }

    /// Alice joins a room in which there was nothing before.
    pub(crate) fn joins(&self, name: &str) {
        let join = member(1, alice(), "join");
        self.deliver(vec![Notice {
            membership: Some("join".to_owned()),
            summary: Some(summary("12")),
            ..notice(name, vec![join])
        }]);
    }

    pub(crate) fn says(&self, name: &str, seq: u64, body: &str) {
        self.deliver(vec![notice(name, vec![message(seq, body)])]);
    }

    pub(crate) fn sliding(
        &self,
        session: &SessionRef,
        body: &Value,
        pos: Option<&str>,
        may_wait: bool,
    ) -> Result<Step, MatrixError> {
        step(self.handle(SlidingSync {
            session: session.clone(),
            body: raw(body),
            pos: pos.map(str::to_owned),
            stable: false,
            may_wait,
            presence: None,
        }))
    }

    pub(crate) fn classic(
        &self,
        session: &SessionRef,
        since: Option<&str>,
        may_wait: bool,
    ) -> Result<Step, MatrixError> {
        step(self.handle(ClassicSync {
            session: session.clone(),
            since: since.map(str::to_owned),
            filter: None,
            full_state: false,
            state_after: None,
            may_wait,
            presence: None,
            rooms_alone: false,
        }))
    }

    /// Rows written by `work`.
    pub(crate) fn rows<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let before = self.host.sql().rows_written();
        let value = work();
        (value, self.host.sql().rows_written() - before)
    }

    pub(crate) fn woken(&self) -> u32 {
        self.host.take_wakes().iter().fold(0, |all, wake| all | wake.kinds)
    }
}

fn actor(host: &Rc<TestHost>, presence: bool) -> Rc<UserActor<TestHost>> {
    let config = Config {
        server_name: ruma::server_name!("x").to_owned(),
        public_url: None,
        signing_key_id: "ed25519:1".to_owned(),
        signing_key: vec![1; 32],
        token_key: vec![2; 32],
        admin_token: None,
        open_registration: false,
        registration_token: None,
        unlimited: true,
        limits: Limits::default(),
        accounts: Accounts { presence, ..Accounts::default() },
        outbound_private: false,
        default_room_version: None,
        support: None,
        federation: tern_model::Federation::default(),
    };
    Rc::new(UserActor::new(Rc::clone(host), Rc::new(config), alice().to_owned()))
}

pub(crate) fn step(handled: Handled) -> Result<Step, MatrixError> {
    match handled {
        Handled::Hold { kinds, .. } => Ok(Step::Waiting(kinds)),
        Handled::Reply(reply) => Ok(match frame::read_reply::<SyncStep>(&reply)? {
            SyncStep::Answer(body) | SyncStep::AnswerSuspended(body) => Step::Answer(body.read().unwrap()),
            SyncStep::Wait { .. } => Step::Soon,
        }),
    }
}

pub(crate) fn open(device: Option<&str>, refresh: bool) -> OpenSession {
    OpenSession {
        device_id: device.map(Into::into),
        display_name: Some("phone".to_owned()),
        refresh,
        ip: Some("::1".to_owned()),
        user_id: alice().to_owned(),
    }
}

/// Somebody whom the registry knows.
pub(crate) fn registered() -> UserRow {
    UserRow {
        password_hash: None,
        admin: false,
        deactivated: false,
        locked: false,
        suspended: false,
        created: Millis(0),
    }
}

/// All rooms, and every extension.
pub(crate) fn everything() -> Value {
    json!({
        "lists": {"all": {"ranges": [[0, 99]], "timeline_limit": 20, "required_state": [["m.room.name", ""]]}},
        "extensions": {
            "to_device": {"enabled": true}, "e2ee": {"enabled": true}, "account_data": {"enabled": true},
            "receipts": {"enabled": true}, "typing": {"enabled": true},
        },
    })
}

/// All rooms and no extension.
pub(crate) fn rooms_only() -> Value {
    json!({"lists": {"all": {"ranges": [[0, 99]], "timeline_limit": 20, "required_state": []}}})
}

pub(crate) fn notice(name: &str, events: Vec<NoticeEvent>) -> Notice {
    Notice {
        room_id: room(name),
        events,
        resolved: Vec::new(),
        membership: None,
        stripped: Vec::new(),
        summary: None,
        forwarded: RoomSeq(0),
        members: None,
        selective: false,
        ephemeral: Vec::new(),
        sticky: Vec::new(),
    }
}

pub(crate) fn message(seq: u64, body: &str) -> NoticeEvent {
    let client = json!({
        "type": "m.room.message", "event_id": format!("$e{seq}"), "sender": bob(), "origin_server_ts": 1_000 + seq,
        "content": {"msgtype": "m.text", "body": body},
    });
    NoticeEvent {
        seq: RoomSeq(seq),
        event_id: format!("$e{seq}").try_into().unwrap(),
        kind: "m.room.message".to_owned(),
        sender: bob().to_owned(),
        state_key: None,
        ts: Millis(1_000 + seq),
        client: raw(&client),
        txn: None,
        redacts: None,
        pings_room: false,
    }
}

pub(crate) fn member(seq: u64, user: &UserId, membership: &str) -> NoticeEvent {
    let client = json!({
        "type": "m.room.member", "event_id": format!("$e{seq}"), "sender": user, "state_key": user,
        "origin_server_ts": 1_000 + seq, "content": {"membership": membership},
    });
    NoticeEvent {
        kind: "m.room.member".to_owned(),
        sender: user.to_owned(),
        state_key: Some(user.to_string()),
        client: raw(&client),
        ..message(seq, "")
    }
}

/// Somebody's message with more in its content.
pub(crate) fn spoken(seq: u64, sender: &UserId, content: &Value) -> NoticeEvent {
    let mut all = json!({"msgtype": "m.text", "body": format!("m{seq}")});
    all.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    let client = json!({
        "type": "m.room.message", "event_id": format!("$e{seq}"), "sender": sender, "origin_server_ts": 1_000 + seq,
        "content": all,
    });
    NoticeEvent { sender: sender.to_owned(), client: raw(&client), ..message(seq, "") }
}

/// A redaction of the event at `target`, by Bob.
pub(crate) fn redaction(seq: u64, target: u64) -> NoticeEvent {
    let target = format!("$e{target}");
    let client = json!({
        "type": "m.room.redaction", "event_id": format!("$e{seq}"), "sender": bob(), "origin_server_ts": 1_000 + seq,
        "content": {"redacts": target}, "redacts": target,
    });
    NoticeEvent {
        kind: "m.room.redaction".to_owned(),
        redacts: Some(target.try_into().unwrap()),
        client: raw(&client),
        ..message(seq, "")
    }
}

pub(crate) fn from_device(event: NoticeEvent, device: &str, txn_id: &str) -> NoticeEvent {
    NoticeEvent { txn: Some(TxnRef { device_id: device.into(), txn_id: txn_id.to_owned() }), ..event }
}

pub(crate) fn summary(version: &str) -> Rc<RoomSummary> {
    Rc::new(RoomSummary { version: version.to_owned(), joined: 2, ..RoomSummary::default() })
}

/// Bodies of a timeline's messages.
pub(crate) fn bodies(timeline: &Value) -> Vec<String> {
    let events = timeline.as_array().cloned().unwrap_or_default();
    let body = |event: &Value| event["content"]["body"].as_str().map(str::to_owned);
    events.iter().filter_map(body).collect()
}

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A new life of an object: what the old one had begun ends with it.
fn alone(host: Rc<TestHost>) -> Rc<TestHost> {
    Rc::new(TestHost { executor: Executor::new(), ..Rc::into_inner(host).unwrap() })
}

/// The clock moves.
pub(crate) fn later(hub: &Hub, ms: u64) {
    let clock: &TestClock = &hub.host.clock;
    clock.advance(ms);
}
