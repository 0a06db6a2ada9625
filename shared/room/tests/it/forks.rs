//! Several servers in one room, each with its own view of it: events travel late, out of order and during splits, and one
//! server may lie. Afterwards all honest servers must agree.
//!
//! `TERN_SEEDS` sets how many histories are played (a few hundred by default).

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, events::StateEventType};
use serde_json::{Value, json};
use tern_model::{Millis, Pdu};
use tern_room::{
    AuthoriseError, Draft, Extremity, RoomView, SUPPORTED, Signer, Unreadable, Verdict, Version, build, build_create,
    propose,
};

use crate::{graph::Graph, support::raw};

/// Histories that went wrong once: the creator left or was banned, and nobody was sure to be heard by all any more (571,
/// 580); an event that was built on through a soft-failed one stayed a forward extremity (523).
const REMEMBERED: [u64; 3] = [523, 571, 580];

#[test]
fn honest_servers_converge_and_show_nothing_unauthorised() {
    let count = std::env::var("TERN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
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

/// One server's room.
struct Server {
    name: String,
    room_id: OwnedRoomId,
    version: &'static Version,
    signer: Signer,
    graph: Graph,
    /// What came before the events that it stands on.
    waiting: BTreeMap<OwnedEventId, Pdu>,
    verdicts: BTreeMap<OwnedEventId, Verdict>,
}

impl Server {
    fn new(number: usize, room_id: &RoomId, version: &'static Version) -> Self {
        let name = format!("s{number}.test");
        let signer = Signer::new(name.as_str().try_into().unwrap(), "ed25519:1", &[u8::try_from(number).unwrap(); 32]);
        Self {
            name,
            room_id: room_id.to_owned(),
            version,
            signer: signer.unwrap(),
            graph: Graph::new(version),
            waiting: BTreeMap::new(),
            verdicts: BTreeMap::new(),
        }
    }

    fn receive(&mut self, pdu: &Pdu) {
        if !self.verdicts.contains_key(pdu.id()) {
            self.waiting.insert(pdu.id().to_owned(), pdu.clone());
        }
        // Whatever was waiting for this event may go on, and so on.
        loop {
            let ready = self.waiting.values().find_map(|pdu| match self.graph.take(pdu) {
                Ok(verdict) => Some((pdu.id().to_owned(), verdict)),
                Err(AuthoriseError::Missing(_)) => None,
                Err(error) => panic!("{error}"),
            });
            let Some((event_id, verdict)) = ready else { return };
            self.waiting.remove(&event_id);
            self.verdicts.insert(event_id, verdict);
        }
    }

    fn membership(&self, user_id: &str) -> Option<String> {
        let event = self.graph.now("m.room.member", user_id)?;
        Some(tern_room::auth::membership_of(event).unwrap())
    }

    /// The state, as something to compare.
    fn now(&self) -> BTreeSet<(String, String, OwnedEventId)> {
        let state = self.graph.present.state.iter();
        state.map(|((kind, key), id)| (kind.to_string(), key.clone(), id.clone())).collect()
    }
}

impl Server {
    /// Every event with this server's verdict, to understand a history that went wrong.
    fn story(&self) -> String {
        let mut events: Vec<&Pdu> = self.graph.events().collect();
        events.sort_by_key(|pdu| pdu.ts());
        let line = |pdu: &&Pdu| {
            let (verdict, previous) = (&self.verdicts[pdu.id()], pdu.prev());
            format!(
                "{verdict:?} {} {} {previous:?} {} {:?} {}\n",
                pdu.id(),
                pdu.kind(),
                pdu.from(),
                pdu.key(),
                pdu.body()
            )
        };
        let lines: String = events.iter().map(line).collect();
        format!("{} (version {}) stands on {:?}\n{lines}", self.name, self.version.id, self.graph.present.extremities)
    }
}

impl RoomView for Server {
    fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    fn version(&self) -> &'static Version {
        self.version
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.graph.now(&kind.to_string(), state_key).cloned())
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        let events = self.graph.present.extremities.iter().map(|id| self.graph.find(id).unwrap());
        Ok(events.map(|pdu| Extremity { event_id: pdu.id().to_owned(), depth: pdu.depth() }).collect())
    }

    fn joined(&self, _limit: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        Ok(Vec::new())
    }
}

struct World {
    seed: u64,
    chance: Chance,
    servers: Vec<Server>,
    /// Events on their way: to which server.
    post: Vec<(usize, Pdu)>,
    /// The server that sends what its users may not.
    liar: Option<usize>,
    /// What the liar must not get away with.
    forged: BTreeSet<OwnedEventId>,
    now: u64,
}

impl World {
    fn play(seed: u64) {
        let mut world = Self::open(seed);
        for _ in 0..40 {
            world.step();
        }
        world.check_order();
        world.settle();
        world.check();
    }

    /// A room of the first server's, with everybody's first user in it.
    fn open(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let version = *chance.pick(&SUPPORTED);
        let count = 2 + chance.below(4);
        let mut content = json!({ "room_version": version.id });
        if version.creator_in_content() {
            content["creator"] = user(0, 0).into();
        }
        let create = Draft::state(user(0, 0).try_into().unwrap(), "m.room.create", "", raw(&content));
        let named = OwnedRoomId::try_from("!room:s0.test").unwrap();
        let room_id = (!version.room_id_is_create_hash()).then_some(&*named);
        let signer = Server::new(0, &named, version).signer;
        let create = build_create(version, room_id, &create, Millis(1), &signer).unwrap();
        let room_id = match room_id {
            Some(_) => named,
            None => OwnedRoomId::try_from(create.id().as_str().replacen('$', "!", 1)).unwrap(),
        };
        let servers = (0..count).map(|number| Server::new(number, &room_id, version)).collect();
        let liar = (count > 2 && chance.below(2) == 0).then_some(count - 1);
        let mut world = Self { seed, chance, servers, post: Vec::new(), liar, forged: BTreeSet::new(), now: 1 };
        world.publish(0, &create);
        world.act(0, 0, "m.room.member", &user(0, 0), &json!({ "membership": "join" }));
        let mut users = json!({ user(1, 0): 50 });
        if !version.privileges_creators() {
            users[user(0, 0)] = 100.into();
        }
        world.act(0, 0, "m.room.power_levels", "", &json!({ "users": users }));
        world.act(0, 0, "m.room.join_rules", "", &json!({ "join_rule": "public" }));
        for number in 1..count {
            world.deliver_all();
            world.act(number, 0, "m.room.member", &user(number, 0), &json!({ "membership": "join" }));
        }
        world.deliver_all();
        world
    }

    /// Somebody does something, or something arrives.
    fn step(&mut self) {
        if !self.post.is_empty() && self.chance.below(3) > 0 {
            let at = self.chance.below(self.post.len());
            let (to, pdu) = self.post.swap_remove(at);
            self.servers[to].receive(&pdu);
            return;
        }
        let (server, own) = (self.chance.below(self.servers.len()), self.chance.below(2));
        let target = user(self.chance.below(self.servers.len()), self.chance.below(2));
        if self.liar == Some(server) && self.chance.below(2) == 0 {
            return self.lie(server, &target);
        }
        let own_id = user(server, own);
        let membership = |membership: &str| json!({ "membership": membership });
        match self.chance.below(9) {
            // The creator stays and keeps their level: whom others have banned is not heard by them, whatever they say.
            0 if (server, own) != (0, 0) => self.act(server, own, "m.room.member", &own_id, &membership("leave")),
            1 | 2 => self.act(server, own, "m.room.member", &own_id, &membership("join")),
            3 => self.act(server, own, "m.room.member", &target, &membership("ban")),
            4 => self.act(server, own, "m.room.member", &target, &membership("leave")),
            5 => self.act(server, own, "m.room.member", &target, &membership("invite")),
            6 if target != user(0, 0) => self.change_levels(server, own, &target),
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
        let sender: OwnedUserId = user(server, own).try_into().unwrap();
        self.now += 1;
        let draft = Draft::state(sender, kind, key, raw(content));
        let home = &self.servers[server];
        if let Ok(pdu) = propose(home, &draft, Millis(self.now), &home.signer) {
            self.publish(server, &pdu);
            let verdict = self.servers[server].verdicts.get(pdu.id());
            assert_eq!(verdict, Some(&Verdict::Accept), "seed {}: proposed but not accepted", self.seed);
        }
    }

    fn change_levels(&mut self, server: usize, own: usize, target: &str) {
        let levels = self.servers[server].graph.now("m.room.power_levels", "").unwrap();
        let mut content: Value = serde_json::from_str(levels.body().get()).unwrap();
        content["users"][target] = (*self.chance.pick(&[0, 10, 50])).into();
        self.act(server, own, "m.room.power_levels", "", &content);
    }

    /// Sends what cannot be right, whatever else is going on: levels that the sender never had, a message or a ban by
    /// somebody who was never in the room.
    fn lie(&mut self, server: usize, target: &str) {
        self.now += 1;
        let ghost = format!("@ghost:{}", self.servers[server].name);
        let draft = match self.chance.below(3) {
            0 => Draft::new(
                ghost.try_into().unwrap(),
                "m.room.message".to_owned(),
                None,
                raw(&json!({ "body": "boo" })),
                None,
            ),
            1 => {
                let ban = raw(&json!({ "membership": "ban" }));
                Draft::state(ghost.try_into().unwrap(), "m.room.member", target, ban)
            }
            _ => {
                let own = user(server, 1);
                let levels = raw(&json!({ "users": { &own: 100 } }));
                Draft::state(own.try_into().unwrap(), "m.room.power_levels", "", levels)
            }
        };
        let home = &self.servers[server];
        let pdu = build(home, &draft, Millis(self.now), &home.signer).unwrap();
        self.forged.insert(pdu.id().to_owned());
        self.publish(server, &pdu);
    }

    fn publish(&mut self, from: usize, pdu: &Pdu) {
        self.servers[from].receive(pdu);
        self.post.extend((0..self.servers.len()).filter(|to| *to != from).map(|to| (to, pdu.clone())));
    }

    fn deliver_all(&mut self) {
        for (to, pdu) in std::mem::take(&mut self.post) {
            self.servers[to].receive(&pdu);
        }
    }

    /// The order in which states come to be resolved, and how often each comes, makes no difference.
    fn check_order(&mut self) {
        for server in &self.servers {
            let mut events: Vec<&Pdu> = server.graph.events().collect();
            events.sort_by_key(|pdu| pdu.id());
            let mut states: Vec<_> =
                (0..3).map(|_| server.graph.state_of(self.chance.pick(&events).id()).unwrap()).collect();
            let one_way = server.graph.resolve(&states).unwrap();
            states.push(Rc::clone(&states[0]));
            states.reverse();
            assert_eq!(server.graph.resolve(&states).unwrap(), one_way, "seed {}", self.seed);
        }
    }

    /// Everything arrives, and whoever is in the room says something, so that all that was soft-failed somewhere is built
    /// upon. The creator speaks last: nobody else is sure to be heard.
    fn settle(&mut self) {
        for _ in 0..3 {
            for server in (0..self.servers.len()).rev() {
                self.deliver_all();
                for own in [1, 0] {
                    self.speak(server, own);
                }
            }
        }
        self.deliver_all();
    }

    fn speak(&mut self, server: usize, own: usize) {
        self.now += 1;
        let sender = user(server, own).try_into().unwrap();
        let words = raw(&json!({ "body": self.now }));
        let draft = Draft::new(sender, "m.room.message".to_owned(), None, words, None);
        let home = &self.servers[server];
        if let Ok(pdu) = propose(home, &draft, Millis(self.now), &home.signer) {
            self.publish(server, &pdu);
        }
    }

    fn check(&self) {
        let Self { seed, liar, .. } = self;
        let honest = self.servers.iter().enumerate().filter(|(number, _)| Some(*number) != *liar);
        let honest: Vec<&Server> = honest.map(|(_, server)| server).collect();
        let reference = honest[0];
        for server in &honest {
            assert!(server.waiting.is_empty(), "seed {seed}: {} waits for what never comes", server.name);
            for (event_id, verdict) in &server.verdicts {
                let theirs = &reference.verdicts[event_id];
                let rejected = |verdict: &Verdict| matches!(verdict, Verdict::Reject(_));
                assert_eq!(rejected(verdict), rejected(theirs), "seed {seed}: {event_id}: {verdict:?}, {theirs:?}");
                assert!(
                    *verdict != Verdict::Accept || !self.forged.contains(event_id),
                    "seed {seed}: {event_id} shown"
                );
            }
            // Who is in the room, and knows it, hears of everything that the room stands on. (Who takes themselves for a
            // member but was banned elsewhere at the same time may say what they like and is not heard.)
            let in_room = (0..2).any(|own| {
                let number = server.name.trim_start_matches('s').trim_end_matches(".test").parse().unwrap();
                [reference, server].iter().all(|home| home.membership(&user(number, own)).as_deref() == Some("join"))
            });
            if in_room {
                let stories = || format!("seed {seed}\n{}\n{}", server.story(), reference.story());
                assert!(server.now() == reference.now(), "{}", stories());
            }
        }
    }
}

fn user(server: usize, own: usize) -> String {
    format!("@u{own}:s{server}.test")
}
