//! A room with a member on another server: what the other side of a split costs the room's hub, and a server that answers
//! one event thousands of times.

use std::{collections::BTreeMap, rc::Rc};

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::StateEventType,
    serde::{Base64, base64::Standard},
};
use serde_json::{Value, json};
use tern_model::{Config, Millis, Pdu, RawJson};
use tern_ports::{
    Sql as _,
    wire::{
        RoomRequest, frame,
        receive::{PduResult, ReceiveEvents, ServerKey},
        room::{CreateRoom, Draft, SendEvent},
    },
};
use tern_room::{CreateRoomRequest, Extremity, RoomView, Signer, Unreadable, Version, build::build, plan};
use tern_room_hub::RoomActor;
use tern_testkit::{TestClock, TestHost};

use crate::{Cost, corpus::TEXT, counting::allocations, phone::raw};

/// Members who joined here during the split, and siblings of one event.
const MEMBERS: usize = 500;
const SIBLINGS: usize = 2_000;
/// Events of one request.
const BATCH: usize = 50;

const CREATOR: &str = "@creator:tern.test";
const AWAY: &str = "@away:far.test";

/// What the far side's events cost, and a send after them.
pub(crate) fn costs(config: &Config) -> Vec<(String, Cost)> {
    let mut costs = Vec::new();
    let split = Split::new(config);
    let parted = split.newest();
    split.join_here(MEMBERS);
    let fork = split.made(&parted, "m.room.topic", Some(""), &json!({ "topic": "there" }));
    let cost = split.measure(|| split.receive(std::slice::from_ref(&fork)));
    costs.push((format!("split_{MEMBERS}_first"), cost));
    let mut line = vec![fork];
    while line.len() <= BATCH {
        let on = line.last().map_or_else(|| parted.clone(), place);
        line.push(split.said(&on, line.len()));
    }
    let batch = line.split_off(1);
    costs.push((format!("split_{MEMBERS}_batch_{BATCH}"), split.measure(|| split.receive(&batch))));
    let split = Split::new(config);
    let parted = split.newest();
    for first in (0..SIBLINGS - BATCH).step_by(BATCH) {
        let siblings: Vec<_> = (first..first + BATCH).map(|number| split.said(&parted, number)).collect();
        split.receive(&siblings);
    }
    let siblings: Vec<_> = (SIBLINGS - BATCH..SIBLINGS).map(|number| split.said(&parted, number)).collect();
    costs.push((format!("siblings_{SIBLINGS}_batch_{BATCH}"), split.measure(|| split.receive(&siblings))));
    costs.push((format!("siblings_{SIBLINGS}_send"), split.measure(|| split.say())));
    costs
}

/// A room's hub by itself.
struct Split {
    host: Rc<TestHost>,
    config: Rc<Config>,
    actor: Rc<RoomActor<TestHost>>,
    room_id: OwnedRoomId,
    version: &'static Version,
    here: Signer,
    there: Signer,
}

fn place(pdu: &Pdu) -> Extremity {
    Extremity { event_id: pdu.id().to_owned(), depth: pdu.depth() }
}

fn user(id: &str) -> OwnedUserId {
    UserId::parse(id).expect("the name is valid")
}

impl Split {
    fn new(config: &Config) -> Self {
        let here = Signer::new(config.server_name.clone(), &config.signing_key_id, &config.signing_key);
        let here = here.expect("the key is good");
        let there =
            Signer::new("far.test".try_into().expect("a name"), "ed25519:f", &[9; 32]).expect("the key is good");
        let request = json!({ "preset": "public_chat", "room_version": "11" });
        let request: CreateRoomRequest = serde_json::from_value(request).expect("the request is valid");
        let plan = plan(&request, &user(CREATOR), &BTreeMap::new(), [9; 18], TestClock::START, &here);
        let plan = plan.expect("the room can be planned");
        let levels = raw(&json!({ "users": { CREATOR: 100, AWAY: 90 } }));
        let levels = tern_room::Draft::state(user(CREATOR), "m.room.power_levels", "", levels);
        let drafts = plan.drafts.into_iter().chain([levels]).map(wire_draft).collect();
        let (room_id, version) = (plan.room_id, plan.version);
        let create = CreateRoom { version: version.id.to_owned(), create: plan.create.raw().clone(), drafts };
        let host = TestHost::new();
        let config = Rc::new(config.clone());
        let actor = Rc::new(RoomActor::new(Rc::clone(&host), Rc::clone(&config), room_id.clone()));
        let split = Self { host, config, actor, room_id, version, here, there };
        split.ask(create);
        let join = split.made(&split.newest(), "m.room.member", Some(AWAY), &json!({ "membership": "join" }));
        split.receive(&[join]);
        split
    }

    fn ask<R: RoomRequest>(&self, request: R) -> R::Reply {
        let reply = self.host.run(self.actor.handle(request.into()));
        self.host.settle();
        frame::read_reply(&reply).expect("the room does it")
    }

    fn join_here(&self, members: usize) {
        for number in 0..members {
            let content = raw(&json!({ "membership": "join" }));
            let user_id = user(&format!("@member{number:05}:tern.test"));
            let draft = tern_room::Draft::state(user_id.clone(), "m.room.member", user_id.as_str(), content);
            self.send(wire_draft(draft));
        }
    }

    fn say(&self) {
        let content = raw(&json!({ "msgtype": "m.text", "body": TEXT }));
        let (sender, kind) = (user(CREATOR), "m.room.message".to_owned());
        self.send(Draft { sender, kind, state_key: None, content, redacts: None });
    }

    fn send(&self, draft: Draft) {
        self.ask(SendEvent { draft, device_id: "PHONE".into(), txn_id: None, ts: None, sticky_ms: None });
    }

    fn receive(&self, events: &[Pdu]) {
        let home = (self.config.server_name.as_str(), self.config.signing_key_id.as_str(), &self.here);
        let key = |(server, key_id, signer): (&str, &str, &Signer)| ServerKey {
            server_name: server.try_into().expect("a name"),
            key_id: key_id.to_owned(),
            key: Base64::<Standard>::new(signer.public_key().to_vec()).encode(),
            valid_until: Some(TestClock::START.plus(1_000_000)),
        };
        let events = events.iter().map(|pdu| pdu.raw().clone()).collect();
        let keys = vec![key(home), key(("far.test", "ed25519:f", &self.there))];
        let origin = "far.test".try_into().expect("a name");
        let receipts = self.ask(ReceiveEvents { origin, version: None, events, outliers: Vec::new(), keys });
        assert!(receipts.iter().all(|receipt| receipt.result == PduResult::Accepted), "{receipts:?}");
    }

    fn newest(&self) -> Extremity {
        let sql = "SELECT event_id, pdu FROM events ORDER BY seq DESC LIMIT 1";
        place(&self.pdu(sql, &[]).expect("the room has events"))
    }

    fn pdu(&self, sql: &str, params: &[tern_ports::Value]) -> Option<Pdu> {
        let rows = self.host.sqlite.query(sql, params).expect("the table is there");
        let row = rows.first()?;
        let event_id = OwnedEventId::try_from(row.text(0)?).expect("an id");
        Pdu::parse(event_id, RawJson::parse(row.string(1)?).expect("an event")).ok()
    }

    fn said(&self, on: &Extremity, number: usize) -> Pdu {
        self.made(on, "m.room.message", None, &json!({ "msgtype": "m.text", "body": format!("{number} {TEXT}") }))
    }

    /// What the far server makes on an event.
    fn made(&self, on: &Extremity, kind: &str, state_key: Option<&str>, content: &Value) -> Pdu {
        let draft =
            tern_room::Draft::new(user(AWAY), kind.to_owned(), state_key.map(str::to_owned), raw(content), None);
        build(&Face(self, on), &draft, Millis(2_000), &self.there).expect("an event")
    }

    /// Statements, written rows and allocations.
    fn measure(&self, work: impl FnOnce()) -> Cost {
        let figures = || (self.host.sqlite.statements(), self.host.sqlite.rows_written(), allocations());
        let before = figures();
        work();
        let after = figures();
        Cost {
            statements: after.0 - before.0,
            rows: after.1 - before.1,
            allocations: after.2 - before.2,
            ..Cost::default()
        }
    }
}

fn wire_draft(draft: tern_room::Draft) -> Draft {
    let tern_room::Draft { sender, kind, state_key, content, redacts, .. } = draft;
    Draft { sender, kind, state_key, content, redacts }
}

/// The room as the far server has it.
struct Face<'a>(&'a Split, &'a Extremity);

impl RoomView for Face<'_> {
    fn room_id(&self) -> &RoomId {
        &self.0.room_id
    }

    fn version(&self) -> &'static Version {
        self.0.version
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        let sql = "SELECT e.event_id, e.pdu FROM state s JOIN events e ON e.seq = s.seq
                   WHERE s.kind = +? AND s.state_key = +?";
        Ok(self.0.pdu(sql, &[kind.to_string().into(), state_key.into()]))
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        Ok(vec![self.1.clone()])
    }

    fn joined(&self, _: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        Ok(Vec::new())
    }
}
