//! Random histories of a room, counted by the hub as they happen and by the model from scratch.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use tern_model::NoticeEvent;
use tern_ports::wire::user::{PushRuleChange, SessionRef};

use crate::{
    counting::{Unread, in_thread, mentions},
    support::{Hub, alice, bob, raw, redaction, room, rooms_only, spoken},
};

/// Something in the room. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Said {
    Message { thread: Option<usize>, mention: bool },
    Notice,
    Own { thread: Option<usize> },
    Redaction(usize),
}

/// What is read: the room, its main timeline, a thread.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scope {
    Room,
    Main,
    Thread(u64),
}

impl Scope {
    fn of(thread: Option<u64>) -> Self {
        thread.map_or(Self::Main, Self::Thread)
    }

    fn thread_id(self) -> Option<String> {
        match self {
            Self::Room => None,
            Self::Main => Some("main".to_owned()),
            Self::Thread(root) => Some(format!("$e{root}")),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Events that are told at once.
    DeliveryOutcome(Vec<Said>),
    /// Events that are lost on the way, and one more that is told.
    Lost(Vec<Said>),
    /// A run of plain messages, long enough for the inbox to be trimmed.
    Run(u64),
    Read {
        private: bool,
        scope: Scope,
        at: usize,
    },
    Mute(bool),
    Ignore(bool),
    Sleep,
}

fn said() -> impl Strategy<Value = Said> {
    let thread = || proptest::option::of(0..3_usize);
    prop_oneof![
        6 => (thread(), any::<bool>()).prop_map(|(thread, mention)| Said::Message { thread, mention }),
        1 => Just(Said::Notice),
        1 => thread().prop_map(|thread| Said::Own { thread }),
        1 => any::<usize>().prop_map(Said::Redaction),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![Just(Scope::Room), Just(Scope::Main), (2..5_u64).prop_map(Scope::Thread)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let events = |most| proptest::collection::vec(said(), 1..most);
    let step = prop_oneof![
        5 => events(6).prop_map(Step::DeliveryOutcome),
        2 => events(130).prop_map(Step::Lost),
        2 => (10..60_u64).prop_map(Step::Run),
        4 => (any::<bool>(), scope(), any::<usize>()).prop_map(|(private, scope, at)| Step::Read { private, scope, at }),
        1 => any::<bool>().prop_map(Step::Mute),
        1 => any::<bool>().prop_map(Step::Ignore),
        1 => Just(Step::Sleep),
    ];
    proptest::collection::vec(step, 1..25)
}

/// An event as the model remembers it: thread, and what it gave when it was judged.
struct Remembered {
    own: bool,
    thread: Option<u64>,
    notifies: Option<bool>,
}

/// The naive count.
struct Model {
    events: BTreeMap<u64, Remembered>,
    reads: Vec<(Scope, u64)>,
    muted: bool,
    ignored: bool,
}

impl Model {
    fn newest(&self) -> u64 {
        self.events.keys().next_back().copied().unwrap_or(1)
    }

    fn pick(&self, number: usize) -> u64 {
        2 + number as u64 % self.newest().saturating_sub(1).max(1)
    }

    fn root(number: usize) -> u64 {
        2 + number as u64
    }

    /// The event, made and remembered.
    fn happen(&mut self, said: &Said) -> NoticeEvent {
        let seq = self.newest() + 1;
        let (event, remembered) = match said {
            Said::Message { thread, mention } => {
                // Who would be in the thread of itself is not in one.
                let thread = thread.map(Self::root).filter(|root| *root < seq);
                let mut content = thread.map_or_else(|| json!({}), in_thread);
                if *mention {
                    content.as_object_mut().unwrap().extend(mentions().as_object().unwrap().clone());
                }
                let notifies = (!self.ignored && (*mention || !self.muted)).then_some(*mention);
                (spoken(seq, bob(), &content), Remembered { own: false, thread, notifies })
            }
            Said::Notice => (
                spoken(seq, bob(), &json!({"msgtype": "m.notice"})),
                Remembered { own: false, thread: None, notifies: None },
            ),
            Said::Own { thread } => {
                let thread = thread.map(Self::root).filter(|root| *root < seq);
                self.reads.push((Scope::of(thread), seq));
                let content = thread.map_or_else(|| json!({}), in_thread);
                (spoken(seq, alice(), &content), Remembered { own: true, thread, notifies: None })
            }
            Said::Redaction(number) => {
                // What is left of Alice's own event no longer tells its thread, so it depends on who was first.
                let target = self.pick(*number);
                if self.events.get(&target).is_none_or(|event| event.own) {
                    return self.happen(&Said::Notice);
                }
                if let Some(event) = self.events.get_mut(&target) {
                    event.notifies = None;
                }
                (redaction(seq, target), Remembered { own: false, thread: None, notifies: None })
            }
        };
        self.events.insert(seq, remembered);
        event
    }

    fn is_read(&self, seq: u64, thread: Option<u64>) -> bool {
        let by = |(scope, at): &(Scope, u64)| *at >= seq && (*scope == Scope::Room || *scope == Scope::of(thread));
        self.reads.iter().any(by)
    }

    fn count(&self) -> Unread {
        let (mut main, mut threads) = ((0, 0), BTreeMap::<u64, (u64, u64)>::new());
        for (seq, event) in &self.events {
            let Some(highlight) = event.notifies.filter(|_| !self.is_read(*seq, event.thread)) else { continue };
            let counts = event.thread.map_or(&mut main, |root| threads.entry(root).or_default());
            *counts = (counts.0 + 1, counts.1 + u64::from(highlight));
        }
        let threads: BTreeMap<_, _> = threads.into_iter().map(|(root, counts)| (format!("$e{root}"), counts)).collect();
        Unread { main, threads: threads.into_iter().collect() }
    }
}

/// What a phone on sliding sync shows.
#[derive(Default)]
struct Phone {
    pos: Option<String>,
    shown: (u64, u64),
}

impl Phone {
    fn sync(&mut self, hub: &Hub, session: &SessionRef) {
        let body = hub.sliding(session, &rooms_only(), self.pos.as_deref(), false).unwrap().body();
        self.pos = body["pos"].as_str().map(str::to_owned);
        let room = &body["rooms"]["!r:x"];
        let told = |key: &str, before| room[key].as_u64().unwrap_or(before);
        self.shown = (told("notification_count", self.shown.0), told("highlight_count", self.shown.1));
    }
}

fn learn(hub: &Hub, events: &[NoticeEvent]) {
    hub.rooms.learn(&room("r"), events);
    for target in events.iter().filter_map(|event| event.redacts.as_ref()) {
        hub.rooms.redact(&room("r"), target.as_str()[2..].parse().unwrap());
    }
}

fn mute(hub: &Hub, session: &SessionRef, muted: bool) {
    let rule = raw(&json!({"actions": []}));
    hub.rule(session, "room", "!r:x", PushRuleChange::Put { rule, before: None, after: None });
    hub.rule(session, "room", "!r:x", PushRuleChange::Enable(muted));
}

fn play(steps: &[Step]) {
    let mut hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let mut model = Model { events: BTreeMap::new(), reads: Vec::new(), muted: false, ignored: false };
    let mut phone = Phone::default();
    for (time, step) in steps.iter().enumerate() {
        match step {
            Step::DeliveryOutcome(said) => {
                let events: Vec<_> = said.iter().map(|said| model.happen(said)).collect();
                learn(&hub, &events);
                hub.tell(events);
            }
            Step::Lost(said) => {
                let lost: Vec<_> = said.iter().map(|said| model.happen(said)).collect();
                learn(&hub, &lost);
                hub.tell(vec![model.happen(&Said::Message { thread: None, mention: false })]);
            }
            Step::Run(length) => {
                for _ in 0..*length {
                    hub.tell(vec![model.happen(&Said::Message { thread: None, mention: false })]);
                }
            }
            Step::Read { private, scope, at } => {
                let seq = model.pick(*at);
                let kind = if *private { "m.read.private" } else { "m.read" };
                hub.reads(kind, scope.thread_id().as_deref(), seq, time as u64);
                model.reads.push((*scope, seq));
            }
            Step::Mute(muted) => {
                model.muted = *muted;
                mute(&hub, &session, *muted);
            }
            Step::Ignore(ignored) => {
                model.ignored = *ignored;
                let ignored: &[_] = if *ignored { &[bob()] } else { &[] };
                hub.ignore(&session, ignored);
            }
            Step::Sleep => hub = hub.slept(),
        }
        let counted = model.count();
        assert_eq!(hub.unread(&session), counted, "after step {time}, {step:?}");
        phone.sync(&hub, &session);
        assert_eq!(phone.shown, counted.total(), "on the phone after step {time}, {step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn counts_equal_a_naive_recount(steps in steps()) {
        play(&steps);
    }
}
