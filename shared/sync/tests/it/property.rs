//! Random histories of rooms and of a bad network: a client that applies what it gets ends up where a fresh one does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use tern_sync::Shape;

use crate::world::{Device, ME, World, id, user};

#[derive(Clone, Debug)]
enum Op {
    Say(u8),
    State(u8, u8, u8),
    Member(u8, u8, u8),
    Mine(u8, u8),
    Adjust(u8, u8),
    Forget(u8),
    CutOff(bool),
    Sync {
        lost: bool,
        request: u8,
    },
    Duplicate,
    Restart,
    Expire,
    /// Somebody starts to type, or everybody stops.
    Type(u8, u8),
    /// The hub leaves memory: rooms tell it again who types, and it counts from its clock.
    Sleep,
    /// Answers kept for repeated requests are dropped, as after a redaction.
    DropBodies,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..5_u8).prop_map(Op::Say),
        3 => (0..5_u8, 0..3_u8, 0..3_u8).prop_map(|(room, kind, value)| Op::State(room, kind, value)),
        3 => (0..5_u8, 0..3_u8, 0..2_u8).prop_map(|(room, who, what)| Op::Member(room, who, what)),
        4 => (0..5_u8, 0..6_u8).prop_map(|(room, what)| Op::Mine(room, what)),
        3 => (0..5_u8, 0..3_u8).prop_map(|(room, what)| Op::Adjust(room, what)),
        1 => (0..5_u8).prop_map(Op::Forget),
        1 => any::<bool>().prop_map(Op::CutOff),
        10 => (any::<bool>(), 0..12_u8).prop_map(|(lost, request)| Op::Sync { lost, request }),
        2 => Just(Op::Duplicate),
        1 => Just(Op::Restart),
        1 => Just(Op::Expire),
        5 => (0..5_u8, 0..3_u8).prop_map(|(room, who)| Op::Type(room, who)),
        1 => Just(Op::Sleep),
        1 => Just(Op::DropBodies),
    ]
}

fn name(room: u8) -> String {
    format!("r{room}")
}

/// Twelve requests: limits, windows, state and subscriptions differ. `lazy` gives only those with lazy members.
fn request(number: u8, lazy: bool) -> Value {
    let number = if lazy { [6, 8, 9, 10][usize::from(number % 4)] } else { number };
    let limit = [1, 3, 8][usize::from(number % 3)];
    let end = [0, 99][usize::from(number / 3 % 2)];
    let lazily = json!([["m.room.member", "$LAZY"], ["m.room.topic", ""]]);
    let state = if number < 6 { json!([["*", "*"]]) } else { lazily };
    let mut body = json!({
        "lists": {"all": {"ranges": [[0, end]], "timeline_limit": limit, "required_state": state}},
        "extensions": {"typing": {"enabled": true}},
    });
    if number % 4 == 3 {
        body["room_subscriptions"] =
            json!({id("r1").as_str(): {"timeline_limit": 5, "required_state": [["m.room.name", ""]]}});
        body["lists"]["dms"] =
            json!({"ranges": [[0, 1]], "timeline_limit": 2, "required_state": [], "filters": {"is_dm": true}});
    }
    body
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Room {
    membership: String,
    name: Option<String>,
    joined: u64,
    invited: u64,
    dm: bool,
    notifications: u64,
    state: BTreeMap<String, String>,
    timeline: Vec<(u64, String)>,
    complete: bool,
}

/// What a client makes of its answers.
#[derive(Default)]
struct Client {
    /// All its requests leave members to be loaded lazily.
    lazy: bool,
    device: Device,
    pos: Option<String>,
    last: Option<(Option<String>, Value)>,
    rooms: BTreeMap<String, Room>,
    counts: BTreeMap<String, u64>,
    typing: BTreeMap<String, Value>,
}

fn texts<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

impl Room {
    fn apply(&mut self, update: &Value, lazy: bool) {
        if update["initial"] == true {
            *self = Self { membership: "join".to_owned(), ..Self::default() };
        }
        if update.get("invite_state").is_some() {
            self.membership = "invite".to_owned();
        }
        let fields = update.as_object().unwrap();
        if fields.contains_key("name") {
            self.name = update["name"].as_str().map(str::to_owned);
        }
        let number = |field: &str, value: &mut u64| *value = update[field].as_u64().unwrap_or(*value);
        number("joined_count", &mut self.joined);
        number("invited_count", &mut self.invited);
        number("notification_count", &mut self.notifications);
        self.dm = update["is_dm"].as_bool().unwrap_or(self.dm);
        for event in texts(update, "required_state") {
            let (kind, key) = (event["type"].as_str().unwrap(), event["state_key"].as_str().unwrap());
            if kind == "m.room.member" && key == ME {
                self.membership = event["content"]["membership"].as_str().unwrap().to_owned();
            }
            self.state.insert(format!("{kind}|{key}"), event["event_id"].as_str().unwrap().to_owned());
        }
        self.apply_timeline(update, lazy);
    }

    fn apply_timeline(&mut self, update: &Value, lazy: bool) {
        let event = |event: &Value| {
            let event_id = event["event_id"].as_str().unwrap().to_owned();
            let seq = event_id.trim_start_matches("$e").split('-').next().unwrap().parse().unwrap();
            (seq, event_id)
        };
        let events: Vec<(u64, String)> = texts(update, "timeline").map(event).collect();
        let expanded = update["unstable_expanded_timeline"] == true;
        if update["limited"] == true && !expanded && lazy {
            let sent: BTreeSet<_> =
                texts(update, "required_state").map(|event| event["event_id"].as_str().unwrap()).collect();
            self.state.retain(|key, event_id| !key.starts_with("m.room.member|") || sent.contains(&**event_id));
        }
        if update["limited"] == true || expanded {
            self.timeline.clear();
            self.complete = false;
        }
        self.complete |= update["initial"] == true && update["limited"] != true;
        for event in events {
            if let Some(last) = self.timeline.last() {
                assert_eq!(event.0, last.0 + 1, "no event is skipped in silence or shown twice: {update}");
            }
            self.timeline.push(event);
        }
    }
}

impl Client {
    fn sync(&mut self, world: &World, body: &Value, lost: bool) -> bool {
        self.last = Some((self.pos.clone(), body.clone()));
        match self.device.step(world, Shape::Unstable, body, self.pos.as_deref()) {
            Ok(step) => {
                if !lost {
                    self.apply(&step.json());
                }
                step.quiet && !step.owed
            }
            Err(error) => {
                assert_eq!(error.errcode, "M_UNKNOWN_POS");
                self.restart();
                false
            }
        }
    }

    fn restart(&mut self) {
        self.pos = None;
        self.rooms.clear();
        self.counts.clear();
        self.typing.clear();
    }

    fn apply(&mut self, answer: &Value) {
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        for (name, list) in answer["lists"].as_object().into_iter().flatten() {
            self.counts.insert(name.clone(), list["count"].as_u64().unwrap());
        }
        for (room, update) in answer["rooms"].as_object().into_iter().flatten() {
            assert!(update["initial"] == true || self.rooms.contains_key(room), "{room} starts with a delta: {update}");
            self.rooms.entry(room.clone()).or_default().apply(update, self.lazy);
            if update["initial"] == true {
                self.typing.remove(room);
            }
        }
        for (room, event) in answer["extensions"]["typing"]["rooms"].as_object().into_iter().flatten() {
            assert!(self.rooms.contains_key(room), "{room} is not known to the client");
            self.typing.insert(room.clone(), event["content"]["user_ids"].clone());
        }
    }

    /// Syncs until there is nothing more.
    fn settle(&mut self, world: &World, body: &Value) {
        let rounds = (0..8).find(|_| self.sync(world, body, false));
        assert!(rounds.is_some(), "there is no end to it");
    }
}

fn window_is_short(request: &Value) -> bool {
    request["lists"]["all"]["ranges"][0][1] == 0
}

fn membership(world: &World, room: &str) -> Option<&'static str> {
    world.views.get(&id(room)).map(|view| view.membership.as_str())
}

fn play(world: &mut World, client: &mut Client, op: &Op, forgotten: &mut BTreeSet<u8>) {
    match *op {
        Op::Say(room) => {
            world.say(&name(room), "x");
        }
        Op::State(room, kind, value) => {
            let (kind, field) =
                [("m.room.name", "name"), ("m.room.topic", "topic"), ("u.state", "x")][usize::from(kind)];
            let content = if value == 0 { json!({}) } else { json!({field: value.to_string()}) };
            world.state(&name(room), kind, "", content);
        }
        Op::Member(room, who, what) => {
            let who = user(["one", "two", "three"][usize::from(who)]);
            world.member(&name(room), &who, &who, ["join", "leave"][usize::from(what)]);
        }
        Op::Mine(room, _) if forgotten.contains(&room) => {}
        Op::Mine(room, what) => {
            let other = user("other");
            let (by, wanted) =
                [(ME, "join"), (ME, "join"), (ME, "leave"), (&*other, "leave"), (&*other, "ban"), (&*other, "invite")]
                    [usize::from(what)];
            let now = membership(world, &name(room)).unwrap_or("leave");
            let possible = match wanted {
                "leave" => matches!(now, "join" | "invite") || (now == "ban" && by != ME),
                "join" | "ban" => now != "ban",
                _ => now == "leave",
            };
            if possible {
                world.member(&name(room), ME, by, wanted);
            }
        }
        Op::Adjust(room, what) => {
            if membership(world, &name(room)) == Some("join") {
                match what {
                    0 => world.adjust(&name(room), true, |room| room.dm = !room.dm),
                    1 => world.adjust(&name(room), false, |room| {
                        room.unread.notifications = (room.unread.notifications + 1) % 3;
                    }),
                    _ => world.adjust(&name(room), true, |room| room.tags = ["x".to_owned()].into()),
                }
            }
        }
        Op::Forget(room) => {
            if matches!(membership(world, &name(room)), Some("leave" | "ban")) {
                world.forget(&name(room));
                forgotten.insert(room);
            }
        }
        Op::CutOff(cut_off) => world.cut_off = cut_off,
        Op::Sync { lost, request: number } => {
            client.sync(world, &request(number, client.lazy), lost);
        }
        Op::Duplicate => {
            if let Some((pos, body)) = &client.last
                && pos.is_some()
            {
                // Nobody reads this answer, and it may be an error.
                let _ = client.device.step(world, Shape::Unstable, body, pos.as_deref());
            }
        }
        Op::Type(room, who) => {
            let users = if who == 0 { Vec::new() } else { vec![user(["one", "two"][usize::from(who) - 1])] };
            types(world, &name(room), &users);
        }
        Op::Sleep => {
            for (room, _) in std::mem::take(&mut world.typing) {
                let at = world.clock();
                world.typing.insert(room, (at, Vec::new()));
            }
        }
        Op::DropBodies => client.device.drop_bodies(),
        Op::Restart => client.restart(),
        Op::Expire => client.device = Device::default(),
    }
}

fn types(world: &mut World, room: &str, users: &[String]) {
    let users: Vec<_> = users.iter().map(|user| user.as_str().try_into().unwrap()).collect();
    if world.typing.get(&id(room)).is_none_or(|(_, known)| *known != users) {
        let at = world.clock();
        world.typing.insert(id(room), (at, users));
    }
}

fn compare(world: &World, old: &Client, fresh: &Client) {
    for (room_id, expected) in &fresh.rooms {
        let room = old.rooms.get(room_id).unwrap_or_else(|| panic!("{room_id} is missing"));
        assert_eq!(room.membership, expected.membership, "{room_id}");
        if expected.membership == "invite" {
            continue;
        }
        let gone = matches!(expected.membership.as_str(), "leave" | "ban");
        if gone && expected.timeline.is_empty() {
            // A ban after a kick: whoever saw neither is told the ban alone.
            continue;
        }
        assert_eq!(room.name, expected.name, "{room_id}");
        assert_eq!((room.joined, room.invited), (expected.joined, expected.invited), "{room_id}");
        assert_eq!((room.dm, room.notifications), (expected.dm, expected.notifications), "{room_id}");
        let typing = |client: &Client| client.typing.get(room_id).filter(|users| **users != json!([])).cloned();
        assert_eq!(typing(old), typing(fresh), "{room_id}");
        assert!(room.timeline.ends_with(&expected.timeline), "{room_id}: {:?} {:?}", room.timeline, expected.timeline);
        // Members come with what is sent of the timeline: who turns to lazy loading late has had events without them.
        for (key, event_id) in expected.state.iter().filter(|(key, _)| old.lazy || !key.starts_with("m.room.member|")) {
            assert_eq!(room.state.get(key), Some(event_id), "{room_id} {key}");
        }
    }
    // A room left that was only ever seen by subscription is not counted before lists are next drawn up.
    let (count, least) = (old.counts["all"], fresh.counts["all"]);
    assert!((least..=least + unlisted(world, old) as u64).contains(&count), "{count} {least}");
}

/// Rooms the user left that only a client that has seen them still has on its lists.
fn unlisted(world: &World, client: &Client) -> usize {
    let gone = |room_id: &&String| {
        let view = world.views.iter().find(|(known, _)| known.as_str() == *room_id).map(|(_, view)| view);
        view.is_some_and(|view| view.is_gone() && !(view.removed && view.was_joined()))
    };
    client.rooms.keys().filter(gone).count()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_of_any_history_ends_like_a_fresh_one(
        ops in prop::collection::vec(op(), 1..80),
        inbox_size in 1..12_usize,
        lag in 0..6_u64,
        members: bool,
        lazy: bool,
        last in 0..12_u8,
    ) {
        let mut world = World { inbox_size, lag, members, ..World::default() };
        for room in 0..5 {
            world.found(&name(room), None);
        }
        let (mut client, mut forgotten) = (Client { lazy, ..Client::default() }, BTreeSet::new());
        for op in &ops {
            play(&mut world, &mut client, op, &mut forgotten);
        }
        world.cut_off = false;
        client.settle(&world, &request(last, lazy));
        // Rooms left take up places in a short window, where a fresh client has others.
        let last = if unlisted(&world, &client) > 0 && window_is_short(&request(last, lazy)) { 9 } else { last };
        client.settle(&world, &request(last, lazy && last != 9));
        let mut fresh = Client { lazy, ..Client::default() };
        fresh.settle(&world, &request(last, lazy && last != 9));
        compare(&world, &client, &fresh);
    }
}
