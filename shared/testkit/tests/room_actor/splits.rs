//! What a split of the network, and a server that answers one event a thousand times, cost the room.

use std::fs;

use ruma::EventId;
use serde_json::{Value, json};
use tern_model::Pdu;
use tern_ports::{
    Sql as _,
    wire::{
        frame,
        receive::Receipted,
        room::{ChangeMembership, MembershipAction, ReadStateEvent, Sent},
    },
};

use super::{
    far::{Place, at, pdu_of, results},
    scene::{ALICE, Scene, user},
};

impl Scene {
    fn join_many(&self, members: usize) {
        for number in 0..members {
            let who = user(&format!("@u{number}:tern.test"));
            let join = MembershipAction::Join;
            let join = ChangeMembership { caller: who.clone(), action: join, target: who, reason: None, content: None };
            self.ask(join).unwrap();
            if number % 200 == 0 {
                self.calm();
            }
        }
        self.calm();
    }

    fn topic(&self) -> Value {
        let ask = ReadStateEvent { caller: user(ALICE), kind: "m.room.topic".to_owned(), state_key: String::new() };
        self.ask(ask).unwrap().read::<Value>().unwrap()["content"]["topic"].clone()
    }

    /// Topics of `MOD`'s, all on one event.
    fn topics(&self, on: &Place, numbers: std::ops::Range<u64>) -> Vec<Pdu> {
        let topic = |number: u64| {
            let content = json!({ "topic": format!("{number}") });
            self.make(std::slice::from_ref(on), "m.room.topic", Some(""), &content, 2_000 + number, Vec::new())
        };
        numbers.map(topic).collect()
    }
}

/// A room in which so many joined here while a topic was set there.
fn split(members: usize) -> (Scene, Pdu) {
    let scene = Scene::shared();
    let parted = scene.newest();
    scene.join_many(members);
    scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "here" })).unwrap();
    scene.calm();
    let fork = scene.topics(&parted, 9_000..9_001).remove(0);
    (scene, fork)
}

/// Fifty messages, one on the other.
fn line(scene: &Scene, fork: &Pdu) -> Vec<Pdu> {
    let mut last = at(fork);
    let mut next = |number: u64| {
        let pdu = scene.message(&last, &number.to_string());
        last = at(&pdu);
        pdu
    };
    (0..50).map(&mut next).collect()
}

/// `benches/budgets.toml` says how many statements this may be, and not much more than it is.
fn within_budget(name: &str, statements: u64) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/budgets.toml");
    let budgets = fs::read_to_string(path).unwrap();
    let (_, section) = budgets.split_once("[statements]").unwrap();
    let ceiling = section.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")?.parse::<u64>().ok());
    let ceiling = ceiling.unwrap();
    assert!(statements <= ceiling && statements * 5 >= ceiling * 4, "{name}: {statements}, and not {ceiling}");
}

#[test]
fn what_was_said_on_the_other_side_of_a_split_is_resolved_once() {
    let cost = |members: usize| {
        let (scene, fork) = split(members);
        let (first, resolving) = scene.statements(|| scene.take(std::slice::from_ref(&fork)));
        assert_eq!(first, ["accepted"]);
        let batch = line(&scene, &fork);
        let (taken, statements) = scene.statements(|| scene.take(&batch));
        assert!(taken.iter().all(|result| result == "accepted"), "{taken:?}");
        (resolving, statements)
    };
    let (small, large) = (cost(100), cost(1_000));

    within_budget("batch_of_50_across_a_split_of_1000", large.1);
    assert!(large.1 <= small.1 + 20, "a batch costs the same in every room: {} and {}", small.1, large.1);
    assert!(large.0 <= small.0 + 900 / 10, "ten members a statement: {} and {}", small.0, large.0);
}

#[test]
fn each_state_of_a_fork_is_resolved_and_others_have_their_turn_in_between() {
    let (scene, fork) = split(1_000);
    assert_eq!(scene.take(std::slice::from_ref(&fork)), ["accepted"]);
    let mut batch = scene.topics(&at(&fork), 9_100..9_101);
    for number in 1..20 {
        let next = scene.topics(&at(batch.last().unwrap()), 9_100 + number..9_101 + number);
        batch.extend(next);
    }
    let (received, said) = scene.host.run(async {
        let received = scene.actor.handle(Scene::receiving(&batch, &[]).into());
        futures::join!(received, scene.actor.handle(Scene::command(ALICE, "meanwhile", "t").into()))
    });
    let received = results(&frame::read_reply::<Vec<Receipted>>(&received).unwrap());
    assert!(received.iter().all(|result| result == "accepted"), "{received:?}");
    let said = frame::read_reply::<Sent>(&said).unwrap().event_id;
    let place = |event_id: &EventId| scene.count(&format!("SELECT seq FROM events WHERE event_id = '{event_id}'"));
    assert!(place(&said) < place(batch.last().unwrap().id()), "a send does not wait for the whole batch");
    assert_eq!(scene.topic(), json!("here"));
}

#[test]
fn a_server_that_answers_one_event_a_thousand_times_costs_no_more_than_ten_forks() {
    let scene = Scene::shared();
    let parted = scene.newest();
    let mut costs = Vec::new();
    for round in 0..40_u64 {
        let said = |number: u64| scene.message(&parted, &format!("{round}.{number}"));
        let batch: Vec<Pdu> = (0..50).map(said).collect();
        let (taken, statements) = scene.statements(|| scene.take(&batch));
        assert!(taken.iter().all(|result| result == "accepted"), "{taken:?}");
        costs.push(statements);
    }
    assert!(scene.extremities().len() <= 10, "{}", scene.extremities().len());

    assert!(costs.last().unwrap() <= &(costs[1] + 100), "{costs:?}");
    within_budget("batch_of_50_of_2000_siblings", *costs.last().unwrap());
    let (said, statements) = scene.statements(|| scene.ask(Scene::command(ALICE, "hello", "t")));
    within_budget("send_after_2000_siblings", statements);
    assert_eq!(scene.extremities(), [said.unwrap().event_id]);
}

#[test]
fn no_state_is_lost_with_an_extremity_that_is_given_up() {
    let scene = Scene::shared();
    let parted = scene.newest();
    // What the far server says on one event, each in a place of its own: none of it is in conflict with the others.
    let own = |number: u64| {
        let key = format!("{number}");
        scene.make(std::slice::from_ref(&parted), "org.example.own", Some(&key), &json!({}), 2_000 + number, Vec::new())
    };
    let batch: Vec<Pdu> = (0..40).map(own).collect();
    assert!(scene.take(&batch).iter().all(|result| result == "accepted"));
    assert_eq!(scene.extremities().len(), 10);
    let by_arrival = "SELECT event_id, pdu FROM events WHERE kind = 'org.example.own' ORDER BY seq";
    let batch: Vec<Pdu> = scene.host.sqlite.query(by_arrival, &[]).unwrap().iter().map(pdu_of).collect();
    let newest = batch[31..].iter().map(|pdu| pdu.id().to_owned());
    let kept: Vec<_> = std::iter::once(batch[0].id().to_owned()).chain(newest).collect();
    assert_eq!(scene.extremities(), kept, "the oldest and the newest");
    let held = || scene.count("SELECT count(*) FROM state WHERE kind = 'org.example.own'");
    assert_eq!(held(), 40);
    // A local event cites those kept; of the others nothing is lost, now and after a restart.
    scene.say(ALICE, "here");
    assert_eq!((scene.extremities().len(), held()), (1, 40));
    assert_eq!(scene.count("SELECT count(*) FROM forks WHERE event_id = ''"), 1);
    // An event that cites them brings it all together.
    let mut on: Vec<Place> = batch[..19].iter().map(at).collect();
    on.push(scene.newest());
    let first = scene.make(&on, "m.room.message", None, &json!({ "body": "both" }), 9_000, Vec::new());
    let mut on: Vec<Place> = batch[19..38].iter().map(at).collect();
    on.push(at(&first));
    let second = scene.make(&on, "m.room.message", None, &json!({ "body": "both" }), 9_001, Vec::new());
    assert_eq!(scene.take(&[first, second]), ["accepted", "accepted"]);
    assert_eq!(held(), 40);
    assert_eq!(scene.count("SELECT count(*) FROM forks WHERE event_id = ''"), 0, "what is kept comes to the same");
}
