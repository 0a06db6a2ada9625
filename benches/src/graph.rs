//! Rooms as graphs of events, for what the rules do when several servers write: an initial state judged event by event, and
//! the resolution of forks.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId, OwnedUserId, ServerName};
use serde_json::{Value, json};
use tern_model::{Config, Pdu};
use tern_room::{
    Advance, AuthorisedPdu, Draft, Extremities, History, Key, RoomView as _, StateDelta, StateMap, Unreadable, Verdict,
    Version, advance, authorise_pdu, propose, resolve,
};
use tern_testkit::TestClock;

use crate::{corpus::Hall, phone::raw};

/// Members of the room that splits.
const MEMBERS: usize = 200;

/// What the next event stands on.
#[derive(Clone, Default)]
struct Present {
    head: Vec<OwnedEventId>,
    state: StateMap,
}

/// Events, and the state after the newest.
struct Graph {
    version: &'static Version,
    events: HashMap<OwnedEventId, Pdu>,
    present: Present,
}

impl Graph {
    fn new(version: &'static Version) -> Self {
        Self { version, events: HashMap::new(), present: Present::default() }
    }

    /// Judges an event, which has to be accepted, and moves the present on to it.
    fn take(&mut self, pdu: &Pdu) {
        let AuthorisedPdu { verdict, after, .. } = authorise_pdu(&*self, pdu).expect("what it stands on is known");
        assert_eq!(verdict, Verdict::Accept, "{}", pdu.raw().text());
        self.events.insert(pdu.id().to_owned(), pdu.clone());
        let before = Extremities { events: self.present.head.clone(), former: None };
        let moved = advance(&*self, &before, pdu, &after).expect("the states are known");
        let Advance { extremities, changes, .. } = moved;
        for (key, event_id) in changes.iter() {
            let event_id = event_id.clone().expect("nothing is taken out of the state of a room without forks");
            self.present.state.insert(key.clone(), event_id);
        }
        self.present.head = extremities;
    }

    /// How a state differs from the present one.
    fn difference(&self, state: &StateMap) -> Rc<StateDelta> {
        let keys = state.keys().chain(self.present.state.keys());
        let differs = keys.filter(|key| state.get(*key) != self.present.state.get(*key));
        Rc::new(differs.map(|key| (key.clone(), state.get(key).cloned())).collect())
    }
}

impl History for Graph {
    fn version(&self) -> &'static Version {
        self.version
    }

    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.events.get(event_id).cloned())
    }

    fn is_accepted(&self, event_id: &EventId) -> Result<bool, Unreadable> {
        Ok(self.events.contains_key(event_id))
    }

    fn present(&self, key: &Key) -> Result<Option<OwnedEventId>, Unreadable> {
        Ok(self.present.state.get(key).cloned())
    }

    fn auth_events_except(&self, except: &BTreeSet<&Key>) -> Result<HashSet<OwnedEventId>, Unreadable> {
        let mut cited = HashSet::new();
        for (_, event_id) in self.present.state.iter().filter(|(key, _)| !except.contains(key)) {
            cited.extend(self.auth_events(event_id)?.unwrap_or_default());
        }
        Ok(cited)
    }

    /// Nobody asks: no room here has a policy server.
    fn has_joined(&self, _: &ServerName) -> Result<bool, Unreadable> {
        Ok(false)
    }

    /// Nothing is built on any but the newest event, after which the state is the present one.
    fn state_after(&self, event_id: &EventId) -> Result<Option<Rc<StateDelta>>, Unreadable> {
        Ok(self.present.head.iter().any(|known| known == event_id).then(Rc::default))
    }
}

/// The events of a room of state alone, oldest first.
pub struct InitialState {
    version: &'static Version,
    events: Vec<Pdu>,
}

impl InitialState {
    /// So many events, most of them joins.
    pub fn new(config: &Config, events: usize) -> Self {
        let beside_members = Hall::new(config, 2).events.len() - 2;
        let hall = Hall::new(config, events - beside_members);
        Self { version: hall.version(), events: hall.events }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Judges all events in order, each on top of those before it; how many keys the state has in the end.
    pub fn build(&self) -> usize {
        let mut graph = Graph::new(self.version);
        self.events.iter().for_each(|pdu| graph.take(pdu));
        graph.present.state.len()
    }
}

/// A room in which two servers wrote without hearing of each other; its present is where they parted.
pub struct Forks {
    graph: Graph,
    states: Vec<Rc<StateDelta>>,
}

impl Forks {
    /// Two forks of so many state events each, which agree on little.
    pub fn new(config: &Config, events: usize) -> Self {
        let [mut left, mut right] = [(); 2].map(|()| Hall::new(config, MEMBERS));
        let mut graph = Graph::new(left.version());
        left.events.iter().for_each(|pdu| graph.take(pdu));
        let parted = graph.present.clone();
        let mut fork = |hall: &mut Hall, side: usize| {
            for number in 0..events {
                let pdu = propose(&*hall, &said(hall, side, number), TestClock::START, &hall.signer);
                let pdu = pdu.expect("the event is allowed");
                graph.take(&pdu);
                hall.take(pdu);
            }
            std::mem::replace(&mut graph.present, parted.clone()).state
        };
        let states = [fork(&mut left, 0), fork(&mut right, 1)].map(|state| graph.difference(&state));
        Self { graph, states: states.into() }
    }

    /// So many forks of one state event each, in a room of so many state events, most of them members'.
    pub fn many(config: &Config, state: usize, forks: usize) -> Self {
        let hall = Hall::new(config, state);
        let mut graph = Graph::new(hall.version());
        hall.events.iter().for_each(|pdu| graph.take(pdu));
        let parted = graph.present.clone();
        let mut fork = |number: usize| {
            let pdu = propose(&hall, &said(&hall, number / 4 % 2, number), TestClock::START, &hall.signer);
            graph.take(&pdu.expect("the event is allowed"));
            std::mem::replace(&mut graph.present, parted.clone()).state
        };
        let states: Vec<_> = (0..forks).map(&mut fork).collect();
        let states = states.iter().map(|state| graph.difference(state)).collect();
        Self { graph, states }
    }

    /// Resolves them; how many keys of the state it changes.
    pub fn resolve(&self) -> usize {
        resolve(&self.graph, &self.states).expect("the events are known").len()
    }
}

/// What a fork says: names, profiles, power levels, and on one side bans of those who speak on the other.
fn said(hall: &Hall, side: usize, number: usize) -> Draft {
    let creator = hall.creator.clone();
    let member = hall.members.get(number).expect("there are enough members").clone();
    let state =
        |sender: OwnedUserId, kind: &str, key: &str, content: Value| Draft::state(sender, kind, key, raw(&content));
    match number % 4 {
        0 => state(creator, "m.room.topic", "", json!({ "topic": format!("{side} {number}") })),
        1 => state(creator, "m.room.power_levels", "", levels(hall, &member)),
        2 if side == 0 => state(creator, "m.room.member", member.as_str(), json!({ "membership": "ban" })),
        _ => {
            let content = json!({ "membership": "join", "displayname": format!("{side} {number}") });
            state(member.clone(), "m.room.member", member.as_str(), content)
        }
    }
}

/// The room's power levels, with one more moderator.
fn levels(hall: &Hall, member: &OwnedUserId) -> Value {
    let now = hall.now("m.room.power_levels").expect("the room has power levels");
    let mut levels: Value = serde_json::from_str(now.body().get()).expect("they are JSON");
    let users = levels.get_mut("users").and_then(Value::as_object_mut).expect("they name users");
    users.insert(member.to_string(), 50.into());
    levels
}
