//! Random histories for classic sync: a client that applies what it gets knows each joined room's state and misses no
//! event in silence.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tern_model::{RawJson, StateAfter};
use tern_sync::{ClassicRequest, classic_answer, classic_plan};

use crate::world::{ME, World, id, user};

#[derive(Clone, Debug)]
enum Op {
    Say(u8),
    State(u8, u8),
    Member(u8, u8),
    Mine(u8, u8),
    Sync { lost: bool, limit: u8, state_after: bool },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..3_u8).prop_map(Op::Say),
        3 => (0..3_u8, 0..3_u8).prop_map(|(room, value)| Op::State(room, value)),
        3 => (0..3_u8, 0..3_u8).prop_map(|(room, who)| Op::Member(room, who)),
        4 => (0..3_u8, 0..4_u8).prop_map(|(room, what)| Op::Mine(room, what)),
        8 => (any::<bool>(), 1..6_u8, any::<bool>())
            .prop_map(|(lost, limit, state_after)| Op::Sync { lost, limit, state_after }),
    ]
}

#[derive(Default)]
struct Client {
    since: Option<String>,
    joined: BTreeMap<String, Room>,
}

#[derive(Default)]
struct Room {
    state: BTreeMap<String, String>,
    newest: u64,
}

fn ask(world: &World, since: Option<&str>, limit: u8, state_after: bool) -> Value {
    let filter = RawJson::from_value(&json!({"room": {"timeline": {"limit": limit}}})).unwrap();
    let state_after = state_after.then_some(StateAfter::Stable);
    let request = ClassicRequest::parse(since, Some(&filter), false, state_after).unwrap();
    let plan = classic_plan(world, &request);
    let slices = world.load(&plan.asks(), |slices| plan.unmet(slices));
    let outcome = classic_answer(world, &request, &plan, &slices).unwrap();
    serde_json::from_str(outcome.body.text()).unwrap()
}

impl Client {
    fn apply(&mut self, answer: &Value) {
        self.since = Some(answer["next_batch"].as_str().unwrap().to_owned());
        for section in ["leave", "invite"] {
            for room_id in answer["rooms"][section].as_object().into_iter().flat_map(serde_json::Map::keys) {
                self.joined.remove(room_id);
            }
        }
        for (room_id, update) in answer["rooms"]["join"].as_object().into_iter().flatten() {
            self.joined.entry(room_id.clone()).or_default().apply(update);
        }
    }
}

impl Room {
    fn apply(&mut self, update: &Value) {
        let events = |section: &str| update[section]["events"].as_array().cloned().unwrap_or_default();
        let timeline = events("timeline");
        let seq = |event: &Value| -> u64 {
            let event_id = event["event_id"].as_str().unwrap();
            event_id.trim_start_matches("$e").split('-').next().unwrap().parse().unwrap()
        };
        for (index, event) in timeline.iter().enumerate() {
            let joins_up = self.newest == 0 || seq(event) == self.newest + 1;
            assert!(joins_up || (index == 0 && update["timeline"]["limited"] == true), "{update}");
            self.newest = seq(event);
        }
        let after = update.get("state_after").is_some();
        let state = if after { events("state_after") } else { [events("state"), timeline].concat() };
        for event in state.iter().filter(|event| event.get("state_key").is_some()) {
            let key = format!("{}|{}", event["type"].as_str().unwrap(), event["state_key"].as_str().unwrap());
            self.state.insert(key, event["event_id"].as_str().unwrap().to_owned());
        }
    }
}

fn play(world: &mut World, client: &mut Client, op: &Op) {
    let name = |room: u8| format!("r{room}");
    match *op {
        Op::Say(room) => {
            world.say(&name(room), "x");
        }
        Op::State(room, value) => {
            world.state(&name(room), "m.room.topic", "", json!({"topic": value}));
        }
        Op::Member(room, who) => {
            let who = user(&who.to_string());
            world.member(&name(room), &who, &who, "join");
        }
        Op::Mine(room, what) => {
            let other = user("other");
            let (by, membership) =
                [(ME, "join"), (ME, "leave"), (&*other, "leave"), (&*other, "invite")][usize::from(what)];
            let now = world.views.get(&id(&name(room))).map_or("leave", |view| view.membership.as_str());
            if (membership == "leave") == matches!(now, "join" | "invite") || (membership == "join" && now == "invite")
            {
                world.member(&name(room), ME, by, membership);
            }
        }
        Op::Sync { lost, limit, state_after } => {
            let answer = ask(world, client.since.as_deref(), limit, state_after);
            if !lost {
                client.apply(&answer);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_of_any_history_knows_its_rooms(
        ops in prop::collection::vec(op(), 1..60),
        inbox_size in 1..12_usize,
        lag in 0..6_u64,
    ) {
        let mut world = World { inbox_size, lag, ..World::default() };
        for room in 0..3 {
            world.found(&format!("r{room}"), None);
        }
        let mut client = Client::default();
        for op in &ops {
            play(&mut world, &mut client, op);
        }
        client.apply(&ask(&world, client.since.as_deref(), 3, true));
        let mut fresh = Client::default();
        fresh.apply(&ask(&world, None, 3, true));
        prop_assert_eq!(client.joined.keys().collect::<Vec<_>>(), fresh.joined.keys().collect::<Vec<_>>());
        for (room_id, room) in &fresh.joined {
            prop_assert_eq!(client.joined[room_id].newest, room.newest);
            prop_assert_eq!(&client.joined[room_id].state, &room.state);
        }
    }
}
