//! A hostile server that has a member in a room: each thing that it may send, as much as reaches every bound.
//! `TERN_ABUSE=hour` makes it an hour's whole share. The room's hub may not grow by much, its alarm may not fail again and again,
//! no batch may cost more than its budget, and what others ask for must cost them about what it did before.

mod deeds;

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use deeds::{DEEDS, Deed, long, make};
use serde_json::{Value, json};
use tern_model::{MatrixError, Pdu, RawJson};
use tern_ports::{
    Clock as _,
    wire::{DestinationCommand, destination::RemoteAnswer, frame},
};

use super::{
    far::at,
    scene::{ALICE, Scene},
};

/// What the room's hub may grow by.
const MOST_BYTES: u64 = 10 << 20;
/// Statements of one request.
const MOST_STATEMENTS: u64 = 5_000;
/// Requests to other servers within the hour.
const MOST_ASKED: u32 = 60;
/// Rings of the alarm in an hour in which nobody does anything: one that fails rings more often.
const MOST_RINGS: u64 = 3;
/// Rings after one request that have no end.
const ENDLESS: u64 = 200;
const HOUR_MS: u64 = 60 * 60 * 1_000;
/// Events of a request, and requests of a whole hour.
const BATCH: u64 = 50;
const HOUR: u64 = 100;

/// Deeds that are known to do one kind of harm, and why.
const KNOWN: [(&str, Kind, &str); 1] = [(
    "state in ever new places",
    Kind::AtOnce,
    "each is resolved with everything beside it, in turns of a tenth of a second between which others have theirs",
)];

/// Statements and steps.
type Cost = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// It does not do what it is called, so nothing was tried.
    Nothing,
    Failed,
    Bytes,
    Dearer,
    AtOnce,
    Asked,
    Alarm,
}

#[derive(Debug)]
#[expect(dead_code, reason = "what is shown when the test fails")]
struct Harm {
    deed: &'static str,
    kind: Kind,
    what: String,
}

/// What far.test answers to everything that the room asks it for; counts that.
fn garbage(asked: &Cell<u32>, command: &DestinationCommand) -> Vec<u8> {
    asked.set(asked.get() + 1);
    let DestinationCommand::SendRequest(_) = command else {
        return frame::write_reply::<RemoteAnswer>(&Err(MatrixError::new(502, "M_UNREACHABLE", "away")));
    };
    let events: Vec<Value> = (0..20).map(|number| json!({ "type": 5, "number": number })).collect();
    let body = json!({ "events": events, "pdus": events, "auth_chain": [[], 5, null] });
    let body = Some(RawJson::from_value(&body).unwrap());
    frame::write_reply(&Ok(RemoteAnswer { status: 200, body, retry_after_ms: None }))
}

impl Scene {
    /// Time passes, and the alarm rings as it is set; how often.
    fn pass(&self, ms: u64) -> u64 {
        let end = self.host.clock.now().plus(ms);
        let mut rings = 0;
        self.host.settle();
        while rings < ENDLESS && self.host.alarm.get().is_some_and(|at| at <= end) {
            self.ring();
            rings += 1;
        }
        self.host.clock.advance_to(end.max(self.host.clock.now()));
        rings
    }

    /// Statements and steps of what Alice does, with all that follows: a message, and a page of messages.
    fn costs(&self) -> [Cost; 2] {
        let measured = |what: &dyn Fn()| {
            let steps = self.host.sqlite.steps();
            let ((), statements) = self.statements(what);
            (statements, self.host.sqlite.steps() - steps)
        };
        let say = || {
            self.say(ALICE, &format!("said{}", self.host.sqlite.statements()));
            self.host.settle();
        };
        // What a fork left is brought together once.
        say();
        [measured(&say), measured(&|| drop(self.page(ALICE, None, true, 20, None)))]
    }
}

/// What a deed, done so many times within an hour, does to the room and to those in it.
fn harm_of(deed: &Deed, times: u64) -> Vec<Harm> {
    let (scene, asked) = (Scene::shared(), Rc::new(Cell::new(0)));
    let count = Rc::clone(&asked);
    scene.around.servers.replace(Some(Rc::new(move |_, command| garbage(&count, &command))));
    let parted = scene.newest();
    let (bytes, before) = (scene.host.sqlite.bytes(), scene.costs());
    let (mut became, mut dearest, mut harm) = (BTreeMap::<String, usize>::new(), 0, Vec::new());
    let mut add = |kind, what| harm.push(Harm { deed: deed.name, kind, what });
    for number in 0..times {
        let (done, statements) = scene.statements(|| (deed.what)(&scene, &parted, number));
        dearest = statements.max(dearest);
        match done {
            Ok(results) => results.into_iter().for_each(|one| *became.entry(one).or_default() += 1),
            Err(error) if error.status < 500 => *became.entry(error.errcode.into_owned()).or_default() += 1,
            Err(error) => add(Kind::Failed, format!("number {number}: {error:?}")),
        }
        if scene.pass(HOUR_MS / times) >= ENDLESS {
            add(Kind::Alarm, format!("it does not end after number {number}"));
        }
    }
    let (grown, after) = (scene.host.sqlite.bytes().saturating_sub(bytes), scene.costs());
    let asked = asked.get();
    // What waits is given up after a week.
    scene.pass(8 * 24 * HOUR_MS);
    let rings = scene.pass(HOUR_MS);
    println!(
        "{:36} {:>5} kB, {before:?} then {after:?}, {dearest} at once, {asked} asked, {rings} rings, {became:?}",
        deed.name,
        grown >> 10
    );
    if !became.keys().any(|result| result.starts_with(deed.result)) {
        add(Kind::Nothing, format!("{became:?}"));
    }
    if grown > MOST_BYTES {
        add(Kind::Bytes, format!("{} kB more", grown >> 10));
    }
    if before.iter().zip(after).any(|(before, after)| is_dearer(*before, after)) {
        add(Kind::Dearer, format!("{before:?} statements and steps, then {after:?}"));
    }
    if dearest > MOST_STATEMENTS {
        add(Kind::AtOnce, format!("{dearest} statements"));
    }
    if asked > MOST_ASKED {
        add(Kind::Asked, format!("{asked} requests to other servers"));
    }
    if rings > MOST_RINGS {
        add(Kind::Alarm, format!("{rings} rings in an hour of silence"));
    }
    harm
}

/// More than twice as dear, and by more than what a page that lies elsewhere makes of it.
fn is_dearer(before: Cost, after: Cost) -> bool {
    after.0 > 2 * before.0 + 20 || after.1 > 2 * before.1 + 5_000
}

#[test]
fn an_hour_of_each_thing_that_a_hostile_server_can_send_harms_nobody() {
    let hour = std::env::var("TERN_ABUSE").as_deref() == Ok("hour");
    let harm_of = |deed| harm_of(deed, if hour { HOUR } else { deed.enough });
    let harm: Vec<Harm> = DEEDS.iter().flat_map(harm_of).collect();
    let known = |harm: &Harm| KNOWN.iter().any(|(deed, kind, _)| (harm.deed, harm.kind) == (*deed, *kind));
    let (known, harm): (Vec<_>, Vec<_>) = harm.into_iter().partition(known);
    println!("known: {known:#?}");
    assert!(harm.is_empty(), "{harm:#?}");
}

/// The next event stands on the last one that was sent: a line that never ends.
#[test]
fn a_line_of_events_is_trimmed_as_local_ones_are() {
    let scene = Scene::shared();
    let bytes = scene.host.sqlite.bytes();
    let mut on = scene.newest();
    for number in 0..10 {
        let next = |number| {
            let event = make(&scene, &on, ("m.room.message", None), &json!({ "body": long(number) }));
            on = at(&event);
            event
        };
        let events: Vec<Pdu> = (BATCH * number..BATCH * (number + 1)).map(next).collect();
        assert!(scene.take(&events).iter().all(|result| result == "accepted"));
        scene.pass(HOUR_MS);
    }
    assert!(scene.host.sqlite.bytes() - bytes < MOST_BYTES, "{} bytes", scene.host.sqlite.bytes() - bytes);
}
