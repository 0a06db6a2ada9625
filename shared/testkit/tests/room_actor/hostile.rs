//! A hostile server that has a member in a room: each thing that it may send, as much as reaches every bound.
//! `TERN_ABUSE=hour` makes it an hour's whole share. The room's hub may not grow by much, its alarm may not fail again and again,
//! no batch may cost more than its budget, and what others ask for must cost them about what it did before.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tern_model::{BoundedVec, MatrixError, Millis, Pdu, RawJson};
use tern_ports::{
    Clock as _,
    wire::{
        DestinationCommand,
        destination::RemoteAnswer,
        ephemeral::{ReadReceipt, ReceiveEphemeral, Typist},
        frame,
    },
};

use super::{
    far::{AWAY, MOD, Place, at, results},
    scene::{ALICE, Scene, user},
};

/// What the room's hub may grow by.
const MOST_BYTES: u64 = 10 << 20;
/// Statements of one batch.
const MOST_STATEMENTS: u64 = 40_000;
/// Rings of the alarm in an hour in which nobody does anything.
const MOST_RINGS: u64 = 20;
const HOUR_MS: u64 = 60 * 60 * 1_000;
/// Events of a request.
const BATCH: u64 = 50;

/// Does a thing for the so-manieth time, beside what was the newest event when the attack began.
type Deed = fn(&Scene, &Place, u64) -> Result<Vec<String>, MatrixError>;

const DEEDS: [(&str, Deed); 11] = [
    ("messages beside each other", |scene, on, number| {
        batch(scene, number, |number| make(scene, on, ("m.room.message", None), &json!({ "body": long(number) })))
    }),
    ("small messages", |scene, on, number| batch(scene, number, |number| scene.message(on, &number.to_string()))),
    ("events of 65 kB", |scene, on, number| {
        let text = |number: u64| format!("{number} {}", "x".repeat(64_000));
        batch(scene, number, |number| make(scene, on, ("m.room.message", None), &json!({ "body": text(number) })))
    }),
    ("state in ever new places", |scene, on, number| {
        batch(scene, number, |number| {
            make(scene, on, ("org.example.state", Some(&number.to_string())), &json!({ "text": long(number) }))
        })
    }),
    ("forks of one place", |scene, on, number| {
        batch(scene, number, |number| make(scene, on, ("m.room.topic", Some("")), &json!({ "topic": long(number) })))
    }),
    ("what it may not do", |scene, on, number| {
        batch(scene, number, |number| {
            let levels = json!({ "users": { MOD: 100 }, "text": long(number) });
            make(scene, on, ("m.room.power_levels", Some("")), &levels)
        })
    }),
    ("events on events that nobody has", |scene, _, number| {
        batch(scene, number, |number| {
            let on: Vec<Place> = (0..20).map(|other| nowhere(20 * number + other)).collect();
            scene.make(&on, "m.room.message", None, &json!({ "body": long(number) }), 2_000, Vec::new())
        })
    }),
    ("events of the end of time", |scene, on, number| {
        let ts = (1 << 53) - 1;
        batch(scene, number, |number| {
            let on = [(on.0.clone(), ts - 1)];
            scene.make(&on, "m.room.message", None, &json!({ "body": number }), ts, Vec::new())
        })
    }),
    ("joins and leaves beside each other", |scene, on, number| {
        batch(scene, number, |number| {
            let membership = if number % 2 == 0 { "join" } else { "leave" };
            let content = json!({ "membership": membership, "displayname": number });
            make(scene, on, ("m.room.member", Some(MOD)), &content)
        })
    }),
    ("typing of many", |scene, _, number| {
        let typist = |at| Typist { user_id: user(&format!("@u{at}:far.test")), typing: true };
        tell(scene, (number * 200..number * 200 + 200).map(typist).collect(), Vec::new())
    }),
    ("receipts of many", |scene, _, number| {
        let receipt = |at: u64| ReadReceipt {
            user_id: user(if at % 2 == 0 { MOD } else { "@nobody:far.test" }),
            event_id: format!("$nowhere{number}.{at}").as_str().try_into().unwrap(),
            thread_id: Some(format!("$root{number}.{at}").as_str().try_into().unwrap()),
            ts: Millis(u64::MAX >> 12),
        };
        tell(scene, Vec::new(), (0..200).map(receipt).collect())
    }),
];

fn long(number: u64) -> String {
    format!("{number} {}", "x".repeat(30_000))
}

fn nowhere(number: u64) -> Place {
    (format!("$nowhere{number}").as_str().try_into().unwrap(), 100)
}

fn make(scene: &Scene, on: &Place, (kind, key): (&str, Option<&str>), content: &Value) -> Pdu {
    scene.make(std::slice::from_ref(on), kind, key, content, 2_000, Vec::new())
}

fn batch(scene: &Scene, number: u64, event: impl Fn(u64) -> Pdu) -> Result<Vec<String>, MatrixError> {
    let events: Vec<Pdu> = (BATCH * number..BATCH * (number + 1)).map(event).collect();
    scene.receive(&events, &[]).map(|receipts| results(&receipts))
}

fn tell(scene: &Scene, typing: Vec<Typist>, receipts: Vec<ReadReceipt>) -> Result<Vec<String>, MatrixError> {
    let origin = AWAY.0.try_into().unwrap();
    let (typing, receipts) = (BoundedVec::new(typing).unwrap(), BoundedVec::new(receipts).unwrap());
    scene.ask(ReceiveEphemeral { origin, typing, receipts }).map(|_| Vec::new())
}

/// What far.test answers to everything that the room asks it for.
fn garbage(command: DestinationCommand) -> Vec<u8> {
    let DestinationCommand::SendRequest(_) = command else {
        return frame::write_reply::<RemoteAnswer>(&Err(MatrixError::new(502, "M_UNREACHABLE", "away")));
    };
    let events: Vec<Value> = (0..20).map(|number| json!({ "type": 5, "number": number })).collect();
    let body = json!({ "events": events, "pdus": events, "auth_chain": [[], 5, null] });
    let body = Some(RawJson::from_value(&body).unwrap());
    frame::write_reply(&Ok(RemoteAnswer { status: 200, body, retry_after_ms: None }))
}

impl Scene {
    fn rest(&self) {
        self.host.settle();
        for _ in 0..5 {
            self.ring();
        }
    }

    /// Statements of what Alice does, with all that follows: a message, and a page of messages.
    fn costs(&self) -> [u64; 2] {
        self.say(ALICE, &format!("warm{}", self.host.sqlite.statements()));
        self.host.settle();
        let said = self.statements(|| {
            self.say(ALICE, &format!("said{}", self.host.sqlite.statements()));
            self.host.settle();
        });
        [said.1, self.statements(|| self.page(ALICE, None, true, 20, None)).1]
    }

    /// How often the alarm rings in an hour of silence, after the week in which what waits is given up.
    fn rings(&self) -> u64 {
        self.host.clock.advance(8 * 24 * HOUR_MS);
        self.rest();
        let end = self.host.clock.now().plus(HOUR_MS);
        let mut rings = 0;
        while self.host.clock.now() < end && rings <= MOST_RINGS && self.ring() {
            rings += 1;
        }
        rings
    }
}

/// What a deed, done so many times within an hour, does to the room and to those in it.
fn harm_of((name, deed): (&str, Deed), times: u64) -> Vec<String> {
    let scene = Scene::shared();
    scene.around.servers.replace(Some(std::rc::Rc::new(|_, command| garbage(command))));
    let parted = scene.newest();
    let (bytes, before) = (scene.host.sqlite.bytes(), scene.costs());
    let (mut became, mut dearest, mut harm) = (BTreeMap::<String, usize>::new(), 0, Vec::new());
    for number in 0..times {
        let (done, statements) = scene.statements(|| deed(&scene, &parted, number));
        dearest = statements.max(dearest);
        match done {
            Ok(results) => {
                results.iter().for_each(|one| *became.entry(one.chars().take(12).collect()).or_default() += 1);
            }
            Err(error) if error.status < 500 => *became.entry(error.errcode.into_owned()).or_default() += 1,
            Err(error) => harm.push(format!("{name}, number {number}: {error:?}")),
        }
        scene.rest();
        scene.host.clock.advance(HOUR_MS / times);
    }
    let (grown, after) = (scene.host.sqlite.bytes().saturating_sub(bytes), scene.costs());
    let rings = scene.rings();
    println!("{name:36} {:>6} kB, {before:?} then {after:?}, {dearest}, {rings} rings, {became:?}", grown >> 10);
    if grown > MOST_BYTES {
        harm.push(format!("{name}: {} kB more", grown >> 10));
    }
    if before.iter().zip(after).any(|(before, after)| after > 2 * before + 20) {
        harm.push(format!("{name}: {before:?} statements, then {after:?}"));
    }
    if dearest > MOST_STATEMENTS {
        harm.push(format!("{name}: {dearest} statements at once"));
    }
    if rings > MOST_RINGS {
        harm.push(format!("{name}: the alarm rings {rings} times in an hour of silence"));
    }
    harm
}

#[test]
fn an_hour_of_each_thing_that_a_hostile_server_can_send_harms_nobody() {
    let times = if std::env::var("TERN_ABUSE").as_deref() == Ok("hour") { 100 } else { 12 };
    let harm: Vec<String> = DEEDS.into_iter().flat_map(|deed| harm_of(deed, times)).collect();
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
        scene.rest();
    }
    assert!(scene.host.sqlite.bytes() - bytes < MOST_BYTES, "{} bytes", scene.host.sqlite.bytes() - bytes);
}
