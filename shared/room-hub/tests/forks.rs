//! Several servers in one room, each with a real hub: events travel late, out of order and during splits, and one server
//! may lie. Afterwards all honest hubs must agree, and none may show what nobody was allowed to send.
//!
//! `TERN_SEEDS` sets how many histories are played (a few dozen by default), `TERN_SEED` plays one.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    rc::Rc,
};

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde_json::{Value, json};
use tern_model::{Accounts, Caller, Config, Limits, MatrixError, Millis, RawJson, RoomSeq};
use tern_ports::{
    Sql as _, ask_storage,
    wire::{
        RoomRequest, frame,
        receive::{PduResult, Receipted, ReceiveEvents, ServerKey},
        room::{CreateRoom, Draft, ReadMessages, SendEvent, Sent},
        storage::StateAt,
    },
};
use tern_room::{CreateRoomRequest, Extremity, RoomView, SUPPORTED, Signer, Unreadable, Version, build::build, plan};
use tern_room_hub::RoomActor;
use tern_testkit::{StorageNode, TestHost, d1::StorageOnly};

/// Histories that went wrong once.
const REMEMBERED: [u64; 0] = [];

#[test]
fn honest_hubs_converge_and_show_nothing_unauthorised() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("TERN_SEED") {
        return World::play(seed);
    }
    let count = number("TERN_SEEDS").unwrap_or(40);
    for seed in REMEMBERED.into_iter().chain(0..count) {
        World::play(seed);
    }
}

/// A small generator of numbers that repeat for a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// One server's hub of the room.
struct Home {
    name: OwnedServerName,
    host: Rc<TestHost>,
    actor: Rc<RoomActor<TestHost>>,
    storage: Rc<StorageNode>,
    /// Up to here its own events were sent to the others.
    sent: u64,
}

fn signer(number: usize) -> Signer {
    let name = OwnedServerName::try_from(format!("s{number}.test")).unwrap();
    Signer::new(name, "ed25519:1", &[u8::try_from(number).unwrap(); 32]).unwrap()
}

fn config() -> Config {
    Config {
        server_name: OwnedServerName::try_from("s0.test").unwrap(),
        public_url: None,
        signing_key_id: String::new(),
        signing_key: Vec::new(),
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
    }
}

impl Home {
    fn new(number: usize, room_id: &OwnedRoomId) -> Self {
        let name = OwnedServerName::try_from(format!("s{number}.test")).unwrap();
        let config = Config {
            server_name: name.clone(),
            signing_key_id: "ed25519:1".to_owned(),
            signing_key: vec![u8::try_from(number).unwrap(); 32],
            ..config()
        };
        let storage = StorageNode::new();
        let host = TestHost::on(Rc::new(StorageOnly(Rc::clone(&storage))));
        let actor = Rc::new(RoomActor::new(Rc::clone(&host), Rc::new(config), room_id.clone()));
        Self { name, host, actor, storage, sent: 0 }
    }

    fn ask<R: RoomRequest>(&self, request: R) -> Result<R::Reply, MatrixError> {
        let reply = self.host.run(self.actor.handle(request.into()));
        self.host.sqlite.make_durable();
        frame::read_reply(&reply)
    }

    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.host.sqlite.query(sql, &[]).unwrap();
        rows.iter().map(|row| (0..row.0.len()).map(|index| row.string(index).unwrap_or_default()).collect()).collect()
    }

    /// The state, as something to compare.
    fn now(&self) -> BTreeSet<Vec<String>> {
        let sql = "SELECT s.kind, s.state_key, e.event_id FROM state s JOIN events e ON e.seq = s.seq";
        self.rows(sql).into_iter().collect()
    }

    fn content(&self, kind: &str, state_key: &str) -> Option<Value> {
        let sql = "SELECT s.kind, s.state_key, e.pdu FROM state s JOIN events e ON e.seq = s.seq";
        let rows = self.rows(sql);
        let row = rows.iter().find(|row| row[0] == kind && row[1] == state_key)?;
        Some(serde_json::from_str::<Value>(&row[2]).unwrap()["content"].clone())
    }

    fn membership(&self, user_id: &str) -> Option<String> {
        Some(self.content("m.room.member", user_id)?["membership"].as_str()?.to_owned())
    }

    /// Own events that the others have not been sent.
    fn outgoing(&mut self) -> Vec<RawJson> {
        let sql = "SELECT seq, sender, pdu FROM events WHERE seq > ? ORDER BY seq";
        let rows = self.host.sqlite.query(sql, &[self.sent.into()]).unwrap();
        let suffix = format!(":{}", self.name);
        let mut own = Vec::new();
        for row in &rows {
            self.sent = self.sent.max(row.int(0).unwrap());
            if row.text(1).unwrap().ends_with(&suffix) {
                own.push(RawJson::parse(row.string(2).unwrap()).unwrap());
            }
        }
        own
    }

    fn shown(&self) -> BTreeSet<String> {
        self.rows("SELECT event_id FROM events").into_iter().map(|mut row| row.remove(0)).collect()
    }

    /// The storage worker has the same state.
    fn check_stored(&self, seed: u64, room_id: &OwnedRoomId) {
        self.host.settle();
        let head = self.rows("SELECT CAST(max(seq) AS TEXT) FROM events")[0][0].parse().unwrap();
        let ask = StateAt { room_id: room_id.clone(), at: RoomSeq(head), kind: None, state_key: None };
        let stored = self.host.run(ask_storage(&*self.host, ask)).unwrap();
        let stored: BTreeSet<_> = stored
            .into_iter()
            .map(|event| vec![event.kind, event.state_key.unwrap(), event.event_id.to_string()])
            .collect();
        let here = self.now();
        let differs: Vec<_> = stored.symmetric_difference(&here).collect();
        assert!(differs.is_empty(), "seed {seed}: {} has stored something else: {differs:?}", self.name);
        assert!(self.storage.d1.rows_written() > 0);
    }

    /// The counts of members are those of the state.
    fn check_books(&self, seed: u64) {
        let counted = "SELECT CAST(joined AS TEXT), CAST(invited AS TEXT) FROM head";
        let held = "SELECT CAST(sum(membership = 'join') AS TEXT), CAST(sum(membership = 'invite') AS TEXT) FROM state";
        assert_eq!(self.rows(counted), self.rows(held), "seed {seed}: {} counts its members wrongly", self.name);
    }
}

/// What a liar builds on: the room as its hub has it, whatever the rules say.
struct Face<'a>(&'a Home, &'static Version, &'a OwnedRoomId);

impl RoomView for Face<'_> {
    fn room_id(&self) -> &ruma::RoomId {
        self.2
    }

    fn version(&self) -> &'static Version {
        self.1
    }

    fn state(
        &self,
        kind: &ruma::events::StateEventType,
        state_key: &str,
    ) -> Result<Option<tern_model::Pdu>, Unreadable> {
        let sql = "SELECT s.kind, s.state_key, e.event_id, e.pdu FROM state s JOIN events e ON e.seq = s.seq";
        let rows = self.0.rows(sql);
        let row = rows.iter().find(|row| row[0] == kind.to_string() && row[1] == state_key);
        Ok(row.map(|row| {
            let raw = RawJson::parse(row[3].clone()).unwrap();
            tern_model::Pdu::parse(row[2].as_str().try_into().unwrap(), raw).unwrap()
        }))
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        // The head's row is behind where the newest event is the only extremity.
        let rows = self.0.rows(
            "SELECT CASE WHEN h.newest < e.seq THEN json_array(e.event_id) ELSE h.extremities END,
                 CAST(CAST(CASE WHEN h.newest < e.seq THEN e.pdu ->> '$.depth' ELSE h.depth END AS INTEGER) AS TEXT)
             FROM head h, events e ORDER BY e.seq DESC LIMIT 1",
        );
        let ids: Vec<ruma::OwnedEventId> = serde_json::from_str(&rows[0][0]).unwrap();
        let depth = rows[0][1].parse().unwrap();
        Ok(ids.into_iter().map(|event_id| Extremity { event_id, depth }).collect())
    }

    fn joined(&self, _: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        Ok(Vec::new())
    }
}

struct World {
    seed: u64,
    chance: Chance,
    version: &'static Version,
    room_id: OwnedRoomId,
    homes: Vec<Home>,
    /// Events on their way: to which server, from which.
    post: Vec<(usize, usize, RawJson)>,
    /// Events that wait at a server for what they stand on.
    waiting: BTreeMap<usize, Vec<(usize, RawJson)>>,
    liar: Option<usize>,
    forged: BTreeSet<String>,
    now: u64,
}

fn user(server: usize, own: usize) -> String {
    format!("@u{own}:s{server}.test")
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

impl World {
    fn play(seed: u64) {
        let mut world = Self::open(seed);
        for _ in 0..40 {
            world.step();
        }
        world.settle();
        world.check();
    }

    /// A room of the first server's, with everybody's first user in it.
    fn open(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let version = *chance.pick(&SUPPORTED);
        let count = 2 + chance.below(4);
        let creator: OwnedUserId = user(0, 0).try_into().unwrap();
        let levels = json!({ user(1, 0): 50 });
        let request: CreateRoomRequest = serde_json::from_value(json!({
            "preset": "public_chat", "room_version": version.id,
        }))
        .unwrap();
        let plan = plan(&request, &creator, &BTreeMap::new(), [3; 18], Millis(1), &signer(0)).unwrap();
        let room_id = plan.room_id.clone();
        let drafts = plan.drafts.into_iter().map(|draft| Draft {
            sender: draft.sender,
            kind: draft.kind,
            state_key: draft.state_key,
            content: draft.content,
            redacts: draft.redacts,
        });
        let create =
            CreateRoom { version: version.id.to_owned(), create: plan.create.raw().clone(), drafts: drafts.collect() };
        let homes: Vec<_> = (0..count).map(|number| Home::new(number, &room_id)).collect();
        homes[0].ask(create).unwrap();
        let liar = (count > 2 && chance.below(2) == 0).then_some(count - 1);
        let mut world = Self {
            seed,
            chance,
            version,
            room_id,
            homes,
            post: Vec::new(),
            waiting: BTreeMap::new(),
            liar,
            forged: BTreeSet::new(),
            now: 1,
        };
        world.found_elsewhere();
        let mut content = world.homes[0].content("m.room.power_levels", "").unwrap();
        content["users"] = levels;
        if !version.privileges_creators() {
            content["users"][user(0, 0)] = 100.into();
        }
        // Members may ban and change what they like, so that there is something to disagree about.
        for action in ["ban", "kick", "invite", "state_default"] {
            content[action] = 10.into();
        }
        world.act(0, 0, "m.room.power_levels", "", &content);
        for number in 1..world.homes.len() {
            world.deliver_all();
            world.act(number, 0, "m.room.member", &user(number, 0), &json!({ "membership": "join" }));
        }
        world.deliver_all();
        world
    }

    /// The other servers get the room from its first event on.
    fn found_elsewhere(&mut self) {
        let events = self.homes[0].outgoing();
        for number in 1..self.homes.len() {
            let version = Some(self.version.id.to_owned());
            let results = self.hand(number, 0, version, events.clone());
            assert!(
                results.iter().all(|receipt| receipt.result == PduResult::Accepted),
                "seed {}: {results:?}",
                self.seed
            );
        }
    }

    fn keys(&self) -> Vec<ServerKey> {
        let key = |number: usize| ServerKey {
            server_name: self.homes[number].name.clone(),
            key_id: "ed25519:1".to_owned(),
            key: ruma::serde::Base64::<ruma::serde::base64::Standard>::new(signer(number).public_key().to_vec())
                .encode(),
            valid_until: Some(Millis(1 << 52)),
        };
        (0..self.homes.len()).map(key).collect()
    }

    fn hand(&self, to: usize, from: usize, version: Option<String>, events: Vec<RawJson>) -> Vec<Receipted> {
        let origin = self.homes[from].name.clone();
        let request = ReceiveEvents { origin, version, events, outliers: Vec::new(), keys: self.keys() };
        self.homes[to].ask(request).unwrap_or_else(|error| panic!("seed {}: {error:?}", self.seed))
    }

    /// Hands over an event, and whatever has waited at that server.
    fn arrive(&mut self, to: usize, from: usize, event: RawJson) {
        let mut open = vec![(from, event)];
        open.extend(self.waiting.remove(&to).unwrap_or_default());
        loop {
            let before = open.len();
            let mut waiting = Vec::new();
            for (from, event) in open {
                let results = self.hand(to, from, None, vec![event.clone()]);
                match &results[0].result {
                    PduResult::Missing(_) => waiting.push((from, event)),
                    PduResult::Dropped(reason) => panic!("seed {}: a genuine event was dropped: {reason}", self.seed),
                    _ => {}
                }
            }
            if waiting.is_empty() || waiting.len() == before {
                self.waiting.insert(to, waiting);
                return;
            }
            open = waiting;
        }
    }

    /// Somebody does something, or something arrives.
    fn step(&mut self) {
        if !self.post.is_empty() && self.chance.below(3) > 0 {
            let at = self.chance.below(self.post.len());
            let (to, from, event) = self.post.swap_remove(at);
            return self.arrive(to, from, event);
        }
        let (server, own) = (self.chance.below(self.homes.len()), self.chance.below(2));
        let target = user(self.chance.below(self.homes.len()), self.chance.below(2));
        if self.liar == Some(server) && self.chance.below(2) == 0 {
            return self.lie(server, &target);
        }
        let own_id = user(server, own);
        let membership = |membership: &str| json!({ "membership": membership });
        match self.chance.below(9) {
            // The creator stays and keeps their level: whom others have banned is not heard by them, whatever they say.
            0 if (server, own) != (0, 0) => self.act(server, own, "m.room.member", &own_id, &membership("leave")),
            1 | 2 => self.act(server, own, "m.room.member", &own_id, &membership("join")),
            3 if target != user(0, 0) => self.act(server, own, "m.room.member", &target, &membership("ban")),
            4 if target != user(0, 0) => self.act(server, own, "m.room.member", &target, &membership("leave")),
            5 => self.act(server, own, "m.room.member", &target, &membership("invite")),
            6 if target != user(0, 0) => {
                let mut content = self.homes[server].content("m.room.power_levels", "").unwrap();
                content["users"][target] = (*self.chance.pick(&[0, 10, 50])).into();
                self.act(server, own, "m.room.power_levels", "", &content);
            }
            7 => {
                let rule = *self.chance.pick(&["public", "invite"]);
                self.act(server, own, "m.room.join_rules", "", &json!({ "join_rule": rule }));
            }
            _ => {
                let topic = self.now;
                self.act(server, own, "m.room.topic", "", &json!({ "topic": format!("{topic}") }));
            }
        }
    }

    /// A local user sends something, if the rules let it.
    fn act(&mut self, server: usize, own: usize, kind: &str, key: &str, content: &Value) {
        self.send(server, own, kind, Some(key.to_owned()), content);
    }

    fn send(&mut self, server: usize, own: usize, kind: &str, state_key: Option<String>, content: &Value) {
        self.now += 1;
        let home = &mut self.homes[server];
        home.host.clock.advance(1);
        let sender = user(server, own).try_into().unwrap();
        let draft = Draft { sender, kind: kind.to_owned(), state_key, content: raw(content), redacts: None };
        let sent: Result<Sent, MatrixError> =
            home.ask(SendEvent { draft, device_id: "PHONE".into(), txn_id: None, ts: None, sticky_ms: None });
        if let Err(error) = sent {
            assert!(error.status < 500, "seed {}: {error:?}", self.seed);
        }
        let events = home.outgoing();
        for to in (0..self.homes.len()).filter(|to| *to != server) {
            self.post.extend(events.iter().map(|event| (to, server, event.clone())));
        }
    }

    /// Sends what cannot be right, whatever else is going on.
    fn lie(&mut self, server: usize, target: &str) {
        self.now += 1;
        let ghost = format!("@ghost:{}", self.homes[server].name);
        let draft = match self.chance.below(3) {
            0 => {
                let words = raw(&json!({ "body": "boo" }));
                tern_room::Draft::new(ghost.try_into().unwrap(), "m.room.message".to_owned(), None, words, None)
            }
            1 => {
                let ban = raw(&json!({ "membership": "ban" }));
                tern_room::Draft::state(ghost.try_into().unwrap(), "m.room.member", target, ban)
            }
            _ => {
                let levels = raw(&json!({ "users": { &ghost: 100 } }));
                tern_room::Draft::state(ghost.try_into().unwrap(), "m.room.power_levels", "", levels)
            }
        };
        let face = Face(&self.homes[server], self.version, &self.room_id);
        let pdu = build(&face, &draft, Millis(self.now), &signer(server)).unwrap();
        self.forged.insert(pdu.id().to_string());
        for to in (0..self.homes.len()).filter(|to| *to != server) {
            self.post.push((to, server, pdu.raw().clone()));
        }
    }

    fn deliver_all(&mut self) {
        for (to, from, event) in std::mem::take(&mut self.post) {
            self.arrive(to, from, event);
        }
    }

    /// Everything arrives, and whoever is in the room says something, the creator last: nobody else is sure to be heard.
    fn settle(&mut self) {
        for _ in 0..3 {
            for server in (0..self.homes.len()).rev() {
                self.deliver_all();
                for own in [1, 0] {
                    let words = json!({ "body": format!("{}", self.now) });
                    self.send(server, own, "m.room.message", None, &words);
                }
            }
        }
        self.deliver_all();
    }

    fn check(&self) {
        let Self { seed, liar, .. } = self;
        let honest: Vec<_> = self.homes.iter().enumerate().filter(|(number, _)| Some(*number) != *liar).collect();
        let (_, reference) = honest[0];
        for (number, home) in &honest {
            let waiting = self.waiting.get(number).into_iter().flatten();
            let waits: Vec<_> =
                waiting.map(|(from, event)| self.hand(*number, *from, None, vec![event.clone()])).collect();
            assert!(waits.is_empty(), "seed {seed}: {} still waits: {waits:?}\n{}", home.name, self.story());
            assert!(home.shown().is_disjoint(&self.forged), "seed {seed}: {} shows what was forged", home.name);
            home.check_books(*seed);
            home.check_stored(*seed, &self.room_id);
            for own in 0..2 {
                self.check_leaver(home, &user(*number, own));
            }
            let in_room = (0..2).any(|own| {
                [reference, home].iter().all(|home| home.membership(&user(*number, own)).as_deref() == Some("join"))
            });
            if in_room {
                let (here, there) = (home.now(), reference.now());
                let differs: Vec<_> = here.symmetric_difference(&there).collect();
                assert!(differs.is_empty(), "seed {seed}: {} and {} differ: {differs:?}", home.name, reference.name);
                self.check_reader(home, &user(0, 0));
            }
        }
    }

    /// Every event with what each server made of it, to understand a history that went wrong.
    fn story(&self) -> String {
        let mut lines = BTreeMap::new();
        for home in &self.homes {
            for row in home.rows(
                "SELECT event_id, 'shown ' || CAST(seq AS INTEGER), pdu FROM events
                UNION ALL SELECT event_id, verdict || ' ' || coalesce(reason, ''), pdu FROM aside",
            ) {
                let pdu: Value = serde_json::from_str(&row[2]).unwrap();
                let line = lines.entry((pdu["depth"].as_u64(), row[0].clone())).or_insert_with(|| {
                    format!(
                        "{} {} {:?} {} prev {}",
                        pdu["type"], pdu["sender"], pdu["state_key"], pdu["content"], pdu["prev_events"]
                    )
                });
                let _ = write!(line, "\n    {}: {}", home.name, row[1]);
            }
        }
        let lines: Vec<_> = lines.into_iter().map(|((_, id), line)| format!("{id} {line}")).collect();
        lines.join("\n")
    }

    /// Who is not in the room reads nothing that came after they were out of it.
    fn check_leaver(&self, home: &Home, reader: &str) {
        let since =
            "SELECT CAST(coalesce(since, seq) AS TEXT), membership, state_key FROM state WHERE kind = 'm.room.member'";
        let resolved = "SELECT CAST(max(seq) AS TEXT), '', state_key FROM turns
                      WHERE kind = 'm.room.member' AND after IS NULL GROUP BY state_key";
        let rows = [home.rows(since), home.rows(resolved)].concat();
        let Some(row) = rows.iter().find(|row| row[2] == reader).filter(|row| row[1] != "join") else { return };
        let out: u64 = row[0].parse().unwrap();
        let caller = Caller { user_id: reader.try_into().unwrap(), device_id: "PHONE".into() };
        let ask = ReadMessages {
            caller,
            from: None,
            to: None,
            backwards: true,
            limit: 1_000,
            filter: None,
            ignored: BTreeSet::new(),
        };
        let Ok(page) = home.ask(ask) else { return };
        for event in &page.chunk {
            let event: Value = event.read().unwrap();
            let id = event["event_id"].as_str().unwrap();
            let found = home.rows(&format!("SELECT CAST(seq AS TEXT) FROM events WHERE event_id = '{id}'"));
            let seq: u64 = found[0][0].parse().unwrap();
            let own = event["state_key"] == reader;
            assert!(seq < out || (own && seq == out), "seed {}: {reader} was out at {out} and reads {seq}", self.seed);
        }
    }

    /// Somebody of the room reads it to its end and finds nothing forged.
    fn check_reader(&self, home: &Home, reader: &str) {
        let caller = Caller { user_id: reader.try_into().unwrap(), device_id: "PHONE".into() };
        let ask = ReadMessages {
            caller,
            from: None,
            to: None,
            backwards: true,
            limit: 1_000,
            filter: None,
            ignored: BTreeSet::new(),
        };
        let page = home.ask(ask).unwrap();
        for event in &page.chunk {
            let event: Value = event.read().unwrap();
            let id = event["event_id"].as_str().unwrap();
            assert!(!self.forged.contains(id), "seed {}: {id} is shown", self.seed);
        }
    }
}
