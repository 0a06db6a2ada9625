//! What events wait for is asked of those who sent them.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use serde_json::{Value, json};
use tern_model::{MatrixError, Millis, Name, Pdu, RawJson};
use tern_ports::{
    Clock as _,
    wire::{
        DestinationCommand, destination::RemoteAnswer, frame, receive::ReceiveEvents, server_keys::StoredServerKey,
    },
};

use super::{
    far::{AWAY, at, keys, results},
    scene::{Scene, texts},
};

/// far.test, which has these events and answers as it should.
struct Far {
    events: RefCell<BTreeMap<String, Pdu>>,
    asked: Cell<u32>,
    away: Cell<bool>,
    /// What it says of the state before any event.
    state: RefCell<Option<Value>>,
}

impl Far {
    fn around(scene: &Scene, events: &[Pdu]) -> Rc<Self> {
        let events = events.iter().map(|pdu| (pdu.id().to_string(), pdu.clone())).collect();
        let far = Rc::new(Self {
            events: RefCell::new(events),
            asked: Cell::default(),
            away: Cell::default(),
            state: RefCell::default(),
        });
        let server = Rc::clone(&far);
        scene.around.servers.replace(Some(Rc::new(move |name, command| {
            assert_eq!(name, AWAY.0);
            server.answer(command)
        })));
        far
    }

    fn answer(&self, command: DestinationCommand) -> Vec<u8> {
        let DestinationCommand::SendRequest(ask) = command else {
            let own = keys().remove(1);
            let (key_id, key) = (Name::cut(own.key_id), Name::cut(own.key));
            let key = StoredServerKey { key_id, key, valid_until: Millis(1 << 52), expired: false };
            return frame::write_reply(&Ok(vec![key]));
        };
        if ask.target.contains("/federation/v1/state/") {
            let body = self.state.borrow().as_ref().map(|state| RawJson::from_value(state).unwrap());
            let status = if body.is_some() { 200 } else { 404 };
            return frame::write_reply(&Ok(RemoteAnswer { status, body, retry_after_ms: None }));
        }
        self.asked.set(self.asked.get() + 1);
        if self.away.get() {
            let error = MatrixError::new(502, "M_UNREACHABLE", "away");
            return frame::write_reply::<RemoteAnswer>(&Err(error));
        }
        assert!(ask.background && ask.target.starts_with("/_matrix/federation/v1/get_missing_events/%21"));
        let body: Value = ask.body.unwrap().read().unwrap();
        let body = Some(RawJson::from_value(&json!({ "events": self.before(&body) })).unwrap());
        frame::write_reply(&Ok(RemoteAnswer { status: 200, body, retry_after_ms: None }))
    }

    /// Up to three events before those that are named.
    fn before(&self, body: &Value) -> Vec<RawJson> {
        let events = self.events.borrow();
        let named = |name: &str| body[name].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
        let mut found = Vec::new();
        let mut next: Vec<String> = named("latest_events").collect();
        let known: Vec<String> = named("earliest_events").collect();
        while let (Some(event), true) = (next.pop().and_then(|id| events.get(&id)), found.len() < 3) {
            let before = event.prev().iter().map(ToString::to_string).filter(|id| !known.contains(id));
            next.extend(before);
            found.extend(next.last().and_then(|id| events.get(id)).map(|pdu| pdu.raw().clone()));
        }
        found.reverse();
        found
    }
}

/// Messages of which only the last is sent.
fn late(scene: &Scene, count: usize) -> Vec<Pdu> {
    let mut last = scene.newest();
    let mut next = |number: usize| {
        let pdu = scene.message(&last, &number.to_string());
        last = at(&pdu);
        pdu
    };
    (0..count).map(&mut next).collect()
}

fn said(scene: &Scene) -> usize {
    texts(&scene.walk(super::scene::ALICE, false, 50)).len()
}

#[test]
fn whoever_sent_what_came_too_early_is_asked_for_the_rest() {
    let scene = Scene::shared();
    let sent = late(&scene, 12);
    let far = Far::around(&scene, &sent);
    assert_eq!(scene.take(&sent[11..]), ["missing 1"]);
    assert_eq!((far.asked.get(), said(&scene)), (0, 0), "the answer does not wait for it");
    scene.ring_until_silent();
    assert_eq!(said(&scene), 12);
    assert_eq!(scene.count("SELECT count(*) FROM waiting"), 0);
    assert!(far.asked.get() <= 5, "{}", far.asked.get());
}

/// The proxy could not have the key: the event is refused, and nobody sends it again.
#[test]
fn an_event_whose_key_was_out_of_reach_is_fetched_once_another_stands_on_it() {
    let scene = Scene::shared();
    let sent = late(&scene, 2);
    let far = Far::around(&scene, &sent);
    let without_keys = ReceiveEvents { keys: Vec::new(), ..Scene::receiving(&sent[..1], &[]) };
    assert!(results(&scene.ask(without_keys).unwrap())[0].starts_with("dropped: "));
    assert_eq!(scene.take(&sent[1..]), ["missing 1"]);
    scene.ring_until_silent();
    assert_eq!((said(&scene), scene.count("SELECT count(*) FROM waiting")), (2, 0));
    assert!(far.asked.get() > 0);
}

#[test]
fn a_server_that_is_away_is_asked_again_after_growing_pauses_also_by_another_life_of_the_room() {
    let mut scene = Scene::shared();
    let sent = late(&scene, 3);
    let far = Far::around(&scene, &sent);
    far.away.set(true);
    scene.take(&sent[2..]);
    let begun = scene.host.clock.now();
    for _ in 0..5 {
        assert!(scene.ring(), "it is not given up");
    }
    assert!(scene.host.clock.now().since(begun) > 60_000, "there are pauses");
    assert!(far.asked.get() <= 5);
    scene.evict();
    far.away.set(false);
    scene.ring_until_silent();
    assert_eq!((said(&scene), scene.count("SELECT count(*) FROM waiting")), (3, 0));
}

#[test]
fn what_nobody_has_is_given_up_after_a_week() {
    let scene = Scene::shared();
    let sent = late(&scene, 3);
    let far = Far::around(&scene, &sent[2..]);
    scene.take(&sent[2..]);
    let mut rings = 0;
    while scene.ring() {
        rings += 1;
        assert!(rings < 150, "the alarm never falls silent");
    }
    assert_eq!((scene.count("SELECT count(*) FROM waiting"), said(&scene)), (0, 0));
    assert!((10..80).contains(&far.asked.get()), "{}", far.asked.get());
}

#[test]
fn what_comes_after_a_gap_that_nobody_fills_is_taken_in_with_the_state_of_there() {
    let scene = Scene::shared();
    let topic = json!({ "topic": "told in the gap" });
    let topic = scene.make(&[scene.newest()], "m.room.topic", Some(""), &topic, 1_500, Vec::new());
    let lost = scene.message(&at(&topic), "lost");
    let sent = [scene.message(&at(&lost), "after"), scene.message(&at(&lost), "beside")];
    let far = Far::around(&scene, &sent);
    let sql = "SELECT e.event_id, e.pdu FROM state s JOIN events e ON e.seq = s.seq";
    let here: Vec<Value> = tern_ports::Sql::query(&*scene.host.sqlite, sql, &[])
        .unwrap()
        .iter()
        .map(|row| super::scene::body(super::far::pdu_of(row).raw()))
        .collect();
    let state: Vec<Value> = here.iter().cloned().chain([super::scene::body(topic.raw())]).collect();
    far.state.replace(Some(json!({ "pdus": state, "auth_chain": here })));
    assert_eq!(scene.take(&sent), ["missing 1", "missing 1"]);
    scene.ring_until_silent();
    assert_eq!((said(&scene), scene.count("SELECT count(*) FROM waiting")), (2, 0));
    assert_eq!(scene.count("SELECT count(*) FROM state s JOIN events e ON e.seq = s.seq WHERE e.pdu ->> '$.content.topic' = 'told in the gap'"), 1);
    scene.say(super::scene::ALICE, "go on");
    assert!(scene.extremities().len() == 1, "all is one again");
}
