//! What state resolution changed is what everybody is told: readers, the storage worker, members' hubs.

use std::rc::Rc;

use ruma::serde::{Base64, base64::Standard};
use serde_json::{Value, json};
use tern_model::{Config, MatrixError, Millis, Notice, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    Sql as _, ask_storage,
    wire::{
        RoomRequest, frame,
        receive::{PduResult, ReceiveEvents, ServerKey},
        room::{ChangeMembership, Draft, MembershipAction, ReadSlice, ReadState, ReadStateEvent, SendEvent, Sent},
        storage::{StateAt, SyncRooms},
        sync::{SyncAsk, SyncRoom},
    },
};
use tern_room::Signer;
use tern_room_hub::RoomActor;
use tern_testkit::TestHost;

use super::{
    joining::{made, sent},
    scene::{ALICE, BOB, CAROL, Scene, config, raw, user},
};

pub(crate) const MOD: &str = "@mod:far.test";
const HOME: (&str, &str, u8) = ("tern.test", "ed25519:t", 7);
const AWAY: (&str, &str, u8) = ("far.test", "ed25519:f", 9);

/// The same room on another server.
pub(crate) struct Far {
    host: Rc<TestHost>,
    actor: Rc<RoomActor<TestHost>>,
    pub(crate) sent: u64,
}

fn keys() -> Vec<ServerKey> {
    let key = |(server, key_id, seed): (&str, &str, u8)| {
        let signer = Signer::new(server.try_into().unwrap(), key_id, &[seed; 32]).unwrap();
        ServerKey {
            server_name: server.try_into().unwrap(),
            key_id: key_id.to_owned(),
            key: Base64::<Standard>::new(signer.public_key().to_vec()).encode(),
            valid_until: Some(Millis(1 << 52)),
        }
    };
    vec![key(HOME), key(AWAY)]
}

/// Events of a server's own users after a position.
fn own_events(host: &TestHost, after: u64, server: &str) -> Vec<RawJson> {
    let rows = host.sqlite.query(
        "SELECT pdu FROM events WHERE seq > ? AND sender LIKE ? ORDER BY seq",
        &[after.into(), format!("%:{server}").into()],
    );
    rows.unwrap().iter().map(|row| RawJson::parse(row.string(0).unwrap()).unwrap()).collect()
}

fn receive(origin: &str, events: Vec<RawJson>, version: Option<&str>) -> ReceiveEvents {
    let version = version.map(str::to_owned);
    ReceiveEvents { origin: origin.try_into().unwrap(), version, events, outliers: Vec::new(), keys: keys() }
}

impl Far {
    /// Gets the room from its first event on; then `MOD` is in it, with power.
    pub(crate) fn of(scene: &Scene) -> Self {
        let (server, key_id, seed) = AWAY;
        let config = Config {
            server_name: server.try_into().unwrap(),
            signing_key_id: key_id.to_owned(),
            signing_key: vec![seed; 32],
            ..(*config()).clone()
        };
        let host = TestHost::new();
        let actor = Rc::new(RoomActor::new(Rc::clone(&host), Rc::new(config), scene.room_id.clone()));
        let mut far = Self { host, actor, sent: 0 };
        far.hear(scene);
        let (_, join) = made(scene, MOD);
        sent(scene, &join);
        let heard = far.ask(receive("tern.test", vec![join.raw().clone()], None)).unwrap();
        assert!(heard.iter().all(|receipt| receipt.result == PduResult::Accepted), "{heard:?}");
        let newest = far.host.sqlite.query("SELECT max(seq) FROM events", &[]).unwrap();
        far.sent = newest[0].int(0).unwrap();
        far
    }

    fn ask<R: RoomRequest>(&self, request: R) -> Result<R::Reply, MatrixError> {
        frame::read_reply(&self.host.run(self.actor.handle(request.into())))
    }

    /// `MOD` goes.
    pub(crate) fn leave(&self) {
        let (caller, target) = (user(MOD), user(MOD));
        self.ask(ChangeMembership { caller, action: MembershipAction::Leave, target, reason: None, content: None })
            .unwrap();
    }

    /// Takes in what the others have said.
    pub(crate) fn hear(&self, scene: &Scene) {
        let events = own_events(&scene.host, 0, "tern.test");
        let results = self.ask(receive("tern.test", events, Some("11"))).unwrap();
        assert!(results.iter().all(|receipt| receipt.result == PduResult::Accepted), "{results:?}");
    }

    /// Tells the others what was said here since.
    pub(crate) fn tell(&mut self, scene: &Scene) -> Vec<PduResult> {
        let events = own_events(&self.host, self.sent, "far.test");
        let newest = self.host.sqlite.query("SELECT max(seq) FROM events", &[]).unwrap();
        self.sent = newest[0].int(0).unwrap();
        let receipts = scene.ask(receive("far.test", events, None)).unwrap();
        receipts.into_iter().map(|receipt| receipt.result).collect()
    }

    pub(crate) fn set(&self, kind: &str, content: &Value) -> Sent {
        let draft = Draft {
            sender: user(MOD),
            kind: kind.to_owned(),
            state_key: Some(String::new()),
            content: raw(content),
            redacts: None,
        };
        self.ask(SendEvent { draft, device_id: "PHONE".into(), txn_id: None, ts: None, sticky_ms: None }).unwrap()
    }
}

/// Alice's public room, in which `MOD` may do everything and Carol half of it.
pub(crate) fn shared_room() -> (Scene, Far) {
    let scene = Scene::of(&json!({ "preset": "public_chat", "room_version": "11", "name": "Nest" }));
    scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
    scene.set(ALICE, "m.room.power_levels", "", &levels(50)).unwrap();
    let far = Far::of(&scene);
    scene.calm();
    (scene, far)
}

fn levels(carol: i64) -> Value {
    json!({ "users": { ALICE: 100, MOD: 90, CAROL: carol }, "state_default": 50 })
}

pub(crate) fn topic(text: &str) -> Value {
    json!({ "topic": text })
}

/// A slice of the room for a user: as its hub gives it, and as the storage worker does.
fn slices(scene: &Scene, reader: &str, after: Option<RoomSeq>) -> [SyncRoom; 2] {
    let ask = SyncAsk {
        room_id: scene.room_id.clone(),
        user_id: user(reader),
        after,
        until: None,
        limit: 50,
        state: vec![("*".to_owned(), "*".to_owned())],
        lazy: true,
        members: Vec::new(),
        replaced: false,
    };
    let here = scene.ask(ReadSlice { ask: ask.clone() }).unwrap();
    let there = scene.host.run(ask_storage(&*scene.host, SyncRooms { rooms: vec![ask] })).unwrap().remove(0);
    [here, there]
}

fn stored_state(scene: &Scene, at: RoomSeq, kind: &str, state_key: &str) -> Option<Value> {
    let ask = StateAt {
        room_id: scene.room_id.clone(),
        at,
        kind: Some(kind.to_owned()),
        state_key: Some(state_key.to_owned()),
    };
    scene.host.run(ask_storage(&*scene.host, ask)).unwrap().first().map(content)
}

fn content(event: &StoredEvent) -> Value {
    event.pdu.read::<Value>().unwrap()["content"].clone()
}

fn topic_of(state: &[StoredEvent]) -> Option<(RoomSeq, Value)> {
    let found: Vec<_> = state.iter().filter(|event| event.kind == "m.room.topic").collect();
    assert!(found.len() <= 1);
    found.first().map(|event| (event.seq, content(event)["topic"].clone()))
}

fn resolved(notices: &[Notice]) -> Vec<(String, String, u64, bool)> {
    let resolved = notices.iter().flat_map(|notice| &notice.resolved);
    resolved.map(|it| (it.kind.clone(), it.state_key.clone(), it.seq.0, it.event.is_some())).collect()
}

/// Bob joins here while the room is closed there: his join is undone when the servers hear of each other.
fn undone_join() -> (Scene, RoomSeq) {
    let (scene, mut far) = shared_room();
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    scene.say(CAROL, "before");
    scene.calm();
    far.set("m.room.join_rules", &json!({ "join_rule": "invite" }));
    assert_eq!(far.tell(&scene), [PduResult::Accepted]);
    scene.host.settle();
    let at = scene.probe().newest;
    (scene, at)
}

#[test]
fn whose_join_is_undone_reads_no_further() {
    let (scene, at) = undone_join();
    scene.say(ALICE, "after");
    scene.host.settle();
    let seen = super::scene::texts(&scene.walk(BOB, true, 10));
    assert_eq!(seen, ["before"]);
    assert_eq!(scene.set(BOB, "m.room.topic", "", &topic("mine")).unwrap_err().status, 403);
    let state = scene.ask(ReadState { caller: user(BOB) }).unwrap();
    let own = |event: &&RawJson| event.read::<Value>().unwrap()["state_key"] == BOB;
    assert_eq!(state.iter().filter(own).count(), 0, "the state is that after the join was undone");
    // The storage worker says the same, for whoever asks it.
    let [_, stored] = slices(&scene, BOB, None);
    let (last, value) = stored.facts.membership.last().unwrap();
    assert_eq!((*last, value.as_str()), (at, ""));
    assert!(stored.state.iter().all(|event| event.state_key.as_deref() != Some(BOB)));
    assert_eq!(stored_state(&scene, at, "m.room.member", BOB), None);
    assert_eq!(stored_state(&scene, at.previous(), "m.room.member", BOB).unwrap()["membership"], "join");
}

#[test]
fn whose_join_is_undone_is_told_and_so_are_the_others() {
    let (scene, at) = undone_join();
    let member = |event: bool| vec![("m.room.member".to_owned(), BOB.to_owned(), at.0, event)];
    let told = scene.told(BOB);
    assert_eq!(told.last().unwrap().membership.as_deref(), Some("leave"));
    assert!(told.last().unwrap().events.is_empty(), "the event at that position is nothing for Bob");
    assert_eq!(resolved(&told), member(false));
    for other in [ALICE, CAROL] {
        let told = scene.told(other);
        assert_eq!(resolved(&told), member(false), "{other}");
        let members = told.last().unwrap().members.clone().unwrap();
        assert!(!members.contains(&user(BOB)) && members.contains(&user(MOD)));
        assert_eq!(told.last().unwrap().summary.as_ref().unwrap().joined, 3);
    }
}

/// Carol sets a topic here while her power is taken there: Alice's, which came before, holds again.
fn restored_topic() -> (Scene, RoomSeq) {
    let (scene, mut far) = shared_room();
    scene.set(ALICE, "m.room.topic", "", &topic("first")).unwrap();
    far.hear(&scene);
    scene.calm();
    scene.host.clock.advance(1_000);
    scene.set(CAROL, "m.room.topic", "", &topic("second")).unwrap();
    far.set("m.room.power_levels", &levels(0));
    assert_eq!(far.tell(&scene), [PduResult::Accepted]);
    scene.host.settle();
    let at = scene.probe().newest;
    (scene, at)
}

#[test]
fn restored_state_is_told_everywhere() {
    let (scene, at) = restored_topic();
    let ask = ReadStateEvent { caller: user(ALICE), kind: "m.room.topic".to_owned(), state_key: String::new() };
    let now: Value = scene.ask(ask).unwrap().read().unwrap();
    assert_eq!(now["content"], topic("first"));
    assert_eq!(stored_state(&scene, at, "m.room.topic", ""), Some(topic("first")));
    assert_eq!(stored_state(&scene, at.previous(), "m.room.topic", ""), Some(topic("second")));
    for after in [None, Some(at.previous())] {
        for slice in slices(&scene, ALICE, after) {
            assert_eq!(topic_of(&slice.state), Some((at, json!("first"))), "{after:?}");
        }
    }
    for slice in slices(&scene, ALICE, Some(at)) {
        assert_eq!(topic_of(&slice.state), None, "nothing has changed since");
    }
    let told = scene.told(ALICE);
    assert_eq!(resolved(&told), [("m.room.topic".to_owned(), String::new(), at.0, true)]);
    let event = told.last().unwrap().resolved[0].event.clone().unwrap();
    assert_eq!((event.seq, event.client.read::<Value>().unwrap()["content"].clone()), (at, topic("first")));
}

#[test]
fn the_state_at_any_point_is_what_it_was_there() {
    let (scene, at) = restored_topic();
    scene.set(ALICE, "m.room.topic", "", &topic("third")).unwrap();
    scene.host.settle();
    let expected = [(at.previous(), "second"), (at, "first"), (at.next(), "third")];
    let check = |scene: &Scene| {
        for (position, text) in expected {
            assert_eq!(stored_state(scene, position, "m.room.topic", ""), Some(topic(text)), "{position:?}");
            // Who left there sees it that way, too.
            let ask = SyncAsk {
                room_id: scene.room_id.clone(),
                user_id: user(ALICE),
                after: None,
                until: Some(position),
                limit: 1,
                state: vec![("m.room.topic".to_owned(), String::new())],
                lazy: false,
                members: Vec::new(),
                replaced: false,
            };
            let slice = scene.ask(ReadSlice { ask }).unwrap();
            assert_eq!(topic_of(&slice.state).unwrap().1, json!(text), "{position:?}");
        }
    };
    check(&scene);
    for number in 0..400 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.settle();
    scene.host.clock.advance(60 * 60 * 1000);
    scene.say(ALICE, "later");
    scene.host.settle();
    scene.ring_until_silent();
    let tail = scene.host.sqlite.query("SELECT tail FROM head", &[]).unwrap()[0].int(0).unwrap();
    assert!(tail > at.0, "the tail begins later");
    check(&scene);
}

#[test]
fn a_state_event_that_lost_is_in_the_timeline_and_no_state() {
    let (scene, mut far) = shared_room();
    far.host.clock.advance(1_000);
    far.set("m.room.topic", &topic("theirs"));
    scene.host.clock.advance(5_000);
    scene.set(ALICE, "m.room.topic", "", &topic("ours")).unwrap();
    scene.calm();
    assert_eq!(far.tell(&scene), [PduResult::Accepted]);
    scene.host.settle();
    let at = scene.probe().newest;
    let told = scene.told(ALICE);
    let lost = told.last().unwrap().events.last().unwrap();
    assert_eq!((lost.seq, lost.state_key.clone()), (at, None));
    assert!(lost.client.text().contains("theirs") && lost.client.text().contains("state_key"));
    for slice in slices(&scene, ALICE, None) {
        let last = slice.timeline.last().unwrap();
        assert_eq!((last.seq, last.state_key.clone()), (at, None));
        assert_eq!(topic_of(&slice.state), Some((at.previous(), json!("ours"))));
    }
    assert_eq!(stored_state(&scene, at, "m.room.topic", ""), Some(topic("ours")));
}

#[test]
fn what_is_forgotten_of_the_past_is_found_in_storage() {
    let (scene, mut far) = shared_room();
    for number in 1..=300 {
        scene.say(ALICE, &number.to_string());
    }
    // Superseded, and cited by what was allowed by it.
    scene.set(ALICE, "m.room.power_levels", "", &levels(55)).unwrap();
    for number in 301..=310 {
        scene.say(ALICE, &number.to_string());
    }
    for chunk in own_events(&scene.host, 0, "tern.test").chunks(50) {
        far.ask(receive("tern.test", chunk.to_vec(), None)).unwrap();
    }
    scene.host.settle();
    scene.host.clock.advance(60 * 60 * 1000);
    for number in 311..=520 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.settle();
    scene.ring_until_silent();
    let number = |sql: &str| scene.host.sqlite.query(sql, &[]).unwrap()[0].int(0).unwrap();
    assert!(number("SELECT count(*) FROM past") > 0, "something was superseded and trimmed");
    // As many more as make it forget.
    let filler = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO past SELECT '$filler' || i, (SELECT tail FROM head), 'm.room.topic', '', NULL, '[]' FROM n";
    scene.host.sqlite.query(filler, &[]).unwrap();
    for number in 521..=900 {
        scene.say(ALICE, &number.to_string());
    }
    scene.host.settle();
    scene.host.clock.advance(60 * 60 * 1000);
    scene.say(ALICE, "901");
    scene.host.settle();
    scene.ring_until_silent();
    assert!(number("SELECT count(*) FROM past") <= 10_000, "its growth is bounded");
    assert!(number("SELECT known_from FROM head") > 0);
    scene.host.sqlite.query("DELETE FROM past", &[]).unwrap();
    // A fork from before the newest event: to resolve it, the auth chains are walked.
    for chunk in own_events(&scene.host, 0, "tern.test").chunks(50) {
        far.ask(receive("tern.test", chunk.to_vec(), None)).unwrap();
    }
    far.set("m.room.topic", &topic("theirs"));
    scene.host.clock.advance(1_000);
    scene.set(CAROL, "m.room.topic", "", &topic("ours")).unwrap();
    assert_eq!(far.tell(&scene), [PduResult::Accepted]);
    let ask = ReadStateEvent { caller: user(ALICE), kind: "m.room.topic".to_owned(), state_key: String::new() };
    assert_eq!(scene.ask(ask).unwrap().read::<Value>().unwrap()["content"], topic("ours"));
}

#[test]
fn a_room_hears_nothing_from_servers_that_it_keeps_out() {
    let (scene, mut far) = shared_room();
    let acl = |deny: &[&str]| json!({ "allow": ["*"], "deny": deny });
    far.set("m.room.topic", &topic("theirs"));
    let events = own_events(&far.host, far.sent, "far.test");
    for deny in ["far.test", "FAR.*", "?ar.test", "*"] {
        scene.set(ALICE, "m.room.server_acl", "", &acl(&[deny])).unwrap();
        for origin in ["far.test", "far.test:8448", "Far.Test"] {
            let refused = scene.ask(receive(origin, events.clone(), None)).unwrap_err();
            assert_eq!((refused.status, &*refused.errcode), (403, "M_FORBIDDEN"), "{deny} {origin}");
        }
    }
    scene.set(ALICE, "m.room.server_acl", "", &acl(&["other.test", "1.2.3.4"])).unwrap();
    assert_eq!(far.tell(&scene), [PduResult::Accepted]);
    // What came another way counts, whoever is kept out: the list is about who may speak to this server.
    scene.set(ALICE, "m.room.server_acl", "", &json!({ "allow": ["*"], "allow_ip_literals": false })).unwrap();
    for origin in ["1.2.3.4", "1.2.3.4:8448", "[::1]"] {
        assert_eq!(scene.ask(receive(origin, events.clone(), None)).unwrap_err().status, 403, "{origin}");
    }
    let receipts = scene.ask(receive("relay.test", events, None)).unwrap();
    assert!(receipts.iter().all(|receipt| receipt.result == PduResult::Accepted));
}
