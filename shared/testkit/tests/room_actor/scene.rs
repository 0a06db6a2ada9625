//! A room under test, and what tests do with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};
use tern_model::{Accounts, Caller, Config, Limits, MatrixError, Millis, Notice, RawJson, RoomSeq};
use tern_ports::{
    Sql as _, ask_storage,
    wire::room::{
        ChangeMembership, CreateRoom, Draft, MembershipAction, Messages, ProbeRoom, ReadMessages, RoomProbe, SendEvent,
        Sent,
    },
    wire::storage::PageEvents,
    wire::{RoomRequest, frame},
};
use tern_room::{CreateRoomRequest, Profile, Signer, plan};
use tern_room_hub::RoomActor;
use tern_testkit::{Executor, TestClock, TestHost};

use super::around::{Around, Wires};

pub(crate) const ALICE: &str = "@alice:tern.test";
pub(crate) const BOB: &str = "@bob:tern.test";
pub(crate) const CAROL: &str = "@carol:tern.test";

/// A room and what surrounds it.
pub(crate) struct Scene {
    pub(crate) around: Rc<Around>,
    pub(crate) host: Rc<TestHost>,
    pub(crate) config: Rc<Config>,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) actor: Rc<RoomActor<TestHost>>,
}

pub(crate) fn config() -> Rc<Config> {
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
        limits: Limits::default(),
        accounts: Accounts::default(),
        outbound_private: false,
        default_room_version: None,
        support: None,
        federation: tern_model::Federation::default(),
    })
}

pub(crate) fn user(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}

pub(crate) fn caller(id: &str) -> Caller {
    Caller { user_id: user(id), device_id: "PHONE".into() }
}

pub(crate) fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

pub(crate) fn body(event: &RawJson) -> Value {
    event.read().unwrap()
}

/// The command that makes a room, and the room's id.
pub(crate) fn creation(config: &Config, request: &Value, now: Millis, seed: u8) -> (OwnedRoomId, CreateRoom) {
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
    /// A room that does not exist yet.
    pub(crate) fn empty(around: Rc<Around>, room_id: OwnedRoomId) -> Self {
        let config = config();
        let host = TestHost::on(Rc::new(Wires(Rc::clone(&around))));
        let actor = Rc::new(RoomActor::new(Rc::clone(&host), Rc::clone(&config), room_id.clone()));
        around.rooms.borrow_mut().insert(room_id.clone(), Rc::clone(&actor));
        Self { around, host, config, room_id, actor }
    }

    /// Alice's new room; everything that follows from making it is done, nothing that was told so far is kept.
    pub(crate) fn of(request: &Value) -> Self {
        let (room_id, create) = creation(&config(), request, TestClock::START, 1);
        let scene = Self::empty(Around::new(), room_id);
        scene.ask(create).unwrap();
        scene.calm();
        scene
    }

    /// A public room with Alice and Bob in it.
    pub(crate) fn new() -> Self {
        let scene = Self::of(&json!({ "preset": "public_chat", "name": "Nest" }));
        scene.act(BOB, MembershipAction::Join, BOB).unwrap();
        scene.calm();
        scene
    }

    pub(crate) fn calm(&self) {
        self.host.settle();
        self.around.told.borrow_mut().clear();
    }

    pub(crate) fn ask<R: RoomRequest>(&self, request: R) -> Result<R::Reply, MatrixError> {
        frame::read_reply(&self.host.run(self.actor.handle(request.into())))
    }

    pub(crate) fn command(sender: &str, text: &str, txn_id: &str) -> SendEvent {
        let content = raw(&json!({ "msgtype": "m.text", "body": text }));
        let kind = "m.room.message".to_owned();
        let draft = Draft { sender: user(sender), kind, state_key: None, content, redacts: None };
        SendEvent { draft, device_id: "PHONE".into(), txn_id: Some(txn_id.to_owned()), ts: None, sticky_ms: None }
    }

    pub(crate) fn say(&self, sender: &str, text: &str) -> OwnedEventId {
        self.ask(Self::command(sender, text, text)).unwrap().event_id
    }

    pub(crate) fn set(&self, sender: &str, kind: &str, state_key: &str, content: &Value) -> Result<Sent, MatrixError> {
        let draft = Draft {
            sender: user(sender),
            kind: kind.to_owned(),
            state_key: Some(state_key.to_owned()),
            content: raw(content),
            redacts: None,
        };
        self.ask(SendEvent { draft, device_id: "PHONE".into(), txn_id: None, ts: None, sticky_ms: None })
    }

    pub(crate) fn redact(&self, sender: &str, target: &OwnedEventId) -> Result<Sent, MatrixError> {
        let draft = Draft {
            sender: user(sender),
            kind: "m.room.redaction".to_owned(),
            state_key: None,
            content: raw(&json!({})),
            redacts: Some(target.clone()),
        };
        self.ask(SendEvent {
            draft,
            device_id: "PHONE".into(),
            txn_id: Some(format!("redact {target}")),
            ts: None,
            sticky_ms: None,
        })
    }

    pub(crate) fn act(&self, who: &str, action: MembershipAction, target: &str) -> Result<Sent, MatrixError> {
        self.ask(ChangeMembership { caller: user(who), action, target: user(target), reason: None, content: None })
    }

    pub(crate) fn probe(&self) -> RoomProbe {
        self.ask(ProbeRoom {}).unwrap()
    }

    /// The same object after an eviction.
    pub(crate) fn evict(&mut self) {
        self.host.settle();
        self.replace(self.host.restarted());
    }

    /// The same object after a crash: nobody finishes what it had begun.
    pub(crate) fn crash(&mut self) {
        self.host.sqlite.crash();
        let host = TestHost { executor: Executor::new(), ..Rc::into_inner(self.host.restarted()).unwrap() };
        self.replace(Rc::new(host));
    }

    pub(crate) fn replace(&mut self, host: Rc<TestHost>) {
        self.host = host;
        self.actor = Rc::new(RoomActor::new(Rc::clone(&self.host), Rc::clone(&self.config), self.room_id.clone()));
        self.around.rooms.borrow_mut().insert(self.room_id.clone(), Rc::clone(&self.actor));
    }

    /// Moves on to the alarm and lets it ring; false when none is set.
    pub(crate) fn ring(&self) -> bool {
        let Some(at) = self.host.alarm.get() else { return false };
        self.host.clock.advance_to(at);
        self.host.due_alarm().unwrap();
        self.host.run(self.actor.alarm());
        self.host.settle();
        self.host.sqlite.make_durable();
        true
    }

    pub(crate) fn ring_until_silent(&self) {
        let mut rings = 0;
        while self.ring() {
            rings += 1;
            assert!(rings < 50, "the alarm never falls silent");
        }
    }

    pub(crate) fn page(
        &self,
        who: &str,
        from: Option<&str>,
        backwards: bool,
        limit: u32,
        filter: Option<&Value>,
    ) -> Messages {
        let request = ReadMessages {
            caller: caller(who),
            from: from.map(str::to_owned),
            to: None,
            backwards,
            limit,
            filter: filter.map(raw),
            ignored: BTreeSet::new(),
        };
        self.ask(request).unwrap()
    }

    /// All pages, one after the other.
    pub(crate) fn walk(&self, who: &str, backwards: bool, limit: u32) -> Vec<Value> {
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
    pub(crate) fn told(&self, who: &str) -> Vec<Notice> {
        let told = self.around.told.borrow();
        told.iter().filter(|(user_id, _)| user_id == who).map(|(_, notice)| notice.clone()).collect()
    }

    /// Positions one user was told of, in the order of telling.
    pub(crate) fn seqs_told(&self, who: &str) -> Vec<u64> {
        self.told(who).iter().flat_map(|notice| &notice.events).map(|event| event.seq.0).collect()
    }
}

pub(crate) fn texts(events: &[Value]) -> Vec<String> {
    let texts = events.iter().filter_map(|event| event["content"]["body"].as_str());
    texts.map(str::to_owned).collect()
}

pub(crate) fn numbered(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Texts of all messages as the storage worker has them.
pub(crate) fn stored_texts(scene: &Scene) -> Vec<String> {
    let ask = PageEvents {
        room_id: scene.room_id.clone(),
        user_id: user(ALICE),
        after: RoomSeq(0),
        until: scene.probe().newest,
        backwards: false,
        limit: 1_000,
    };
    let page = scene.host.run(ask_storage(&*scene.host, ask)).unwrap();
    let seqs: Vec<_> = page.events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=scene.probe().newest.0).collect::<Vec<_>>());
    let events: Vec<Value> = page.events.iter().map(|event| body(&event.pdu)).collect();
    texts(&events)
}

impl Scene {
    pub(crate) fn say_with_txn(&self, text: &str, txn_id: &str) -> OwnedEventId {
        self.ask(Self::command(ALICE, text, txn_id)).unwrap().event_id
    }

    /// 300 messages, of which the storage worker has all and the room only the newest.
    pub(crate) fn with_trimmed_tail() -> Self {
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
