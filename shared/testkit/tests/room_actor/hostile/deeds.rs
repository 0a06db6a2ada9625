//! What a hostile server may send.

use serde_json::{Value, json};
use tern_model::{BoundedVec, MatrixError, Millis, Pdu};
use tern_ports::wire::ephemeral::{ReadReceipt, ReceiveEphemeral, Typist};

use super::BATCH;
use crate::{
    far::{AWAY, MOD, Place, results},
    scene::{Scene, user},
};

/// Does a thing for the n-th time, beside what was the newest event when the attack began.
type What = fn(&Scene, &Place, u64) -> Result<Vec<String>, MatrixError>;

pub(super) struct Deed {
    pub(super) name: &'static str,
    /// How the result of some of it begins, if it does what it is called.
    pub(super) result: &'static str,
    /// So many requests reach every bound.
    pub(super) enough: u64,
    pub(super) what: What,
}

/// They have more than the bytes that a hub may grow by.
const ENOUGH: u64 = 8;
/// The state has all that it may have, and so have the events that wait for it to become smaller.
const ENOUGH_STATE: u64 = 5;

impl Deed {
    const fn new(name: &'static str, result: &'static str, what: What) -> Self {
        Self { name, result, enough: ENOUGH, what }
    }

    const fn with(self, enough: u64) -> Self {
        Self { enough, ..self }
    }
}

pub(super) const DEEDS: [Deed; 12] = [
    Deed::new("messages beside each other", "accepted", |scene, on, number| {
        batch(scene, number, |number| make(scene, on, ("m.room.message", None), &json!({ "body": long(number) })))
    }),
    Deed::new("small messages", "accepted", |scene, on, number| {
        batch(scene, number, |number| scene.message(on, &number.to_string()))
    }),
    Deed::new("events of 65 kB", "accepted", |scene, on, number| {
        let text = |number: u64| format!("{number} {}", "x".repeat(64_000));
        batch(scene, number, |number| make(scene, on, ("m.room.message", None), &json!({ "body": text(number) })))
    }),
    Deed::new("state in ever new places", "accepted", |scene, on, number| {
        batch(scene, number, |number| {
            make(scene, on, ("org.example.state", Some(&number.to_string())), &json!({ "text": long(number) }))
        })
    })
    .with(ENOUGH_STATE),
    Deed::new("forks of one place", "accepted", |scene, on, number| {
        batch(scene, number, |number| make(scene, on, ("m.room.topic", Some("")), &json!({ "topic": long(number) })))
    }),
    Deed::new("what it may not do", "rejected", |scene, on, number| {
        batch(scene, number, |number| {
            let levels = json!({ "users": { MOD: 100 }, "text": long(number) });
            make(scene, on, ("m.room.power_levels", Some("")), &levels)
        })
    }),
    Deed::new("events on events that nobody has", "missing 20", |scene, _, number| {
        batch(scene, number, |number| {
            let on: Vec<Place> = (0..20).map(|other| nowhere(20 * number + other)).collect();
            scene.make(&on, "m.room.message", None, &json!({ "body": long(number) }), 2_000, Vec::new())
        })
    }),
    // No key is good for so long.
    Deed::new("events of the end of time", "dropped", |scene, on, number| {
        let on = std::slice::from_ref(on);
        let message =
            |number: u64| scene.make(on, "m.room.message", None, &json!({ "body": number }), 1 << 52, Vec::new());
        batch(scene, number, message)
    }),
    Deed::new("events as deep as can be", "accepted", |scene, on, number| {
        batch(scene, number, |number| scene.message(&(on.0.clone(), (1 << 53) - 2), &number.to_string()))
    }),
    Deed::new("joins and leaves beside each other", "accepted", |scene, on, number| {
        batch(scene, number, |number| {
            let membership = if number % 2 == 0 { "join" } else { "leave" };
            let content = json!({ "membership": membership, "displayname": number });
            make(scene, on, ("m.room.member", Some(MOD)), &content)
        })
    }),
    Deed::new("typing of many", "told", |scene, _, number| {
        let typist = |at| Typist { user_id: user(&format!("@u{at}:far.test")), typing: true };
        tell(scene, (number * 200..number * 200 + 200).map(typist).collect(), Vec::new())
    }),
    Deed::new("receipts of many", "told", |scene, _, number| {
        let receipt = |at: u64| ReadReceipt {
            user_id: user(if at.is_multiple_of(2) { MOD } else { "@nobody:far.test" }),
            event_id: format!("$nowhere{number}.{at}").as_str().try_into().unwrap(),
            thread_id: Some(format!("$root{number}.{at}").as_str().try_into().unwrap()),
            ts: Millis(u64::MAX >> 12),
        };
        tell(scene, Vec::new(), (0..200).map(receipt).collect())
    }),
];

pub(super) fn long(number: u64) -> String {
    format!("{number} {}", "x".repeat(30_000))
}

fn nowhere(number: u64) -> Place {
    (format!("$nowhere{number}").as_str().try_into().unwrap(), 100)
}

pub(super) fn make(scene: &Scene, on: &Place, (kind, key): (&str, Option<&str>), content: &Value) -> Pdu {
    scene.make(std::slice::from_ref(on), kind, key, content, 2_000, Vec::new())
}

fn batch(scene: &Scene, number: u64, event: impl Fn(u64) -> Pdu) -> Result<Vec<String>, MatrixError> {
    let events: Vec<Pdu> = (BATCH * number..BATCH * (number + 1)).map(event).collect();
    scene.receive(&events, &[]).map(|receipts| results(&receipts))
}

fn tell(scene: &Scene, typing: Vec<Typist>, receipts: Vec<ReadReceipt>) -> Result<Vec<String>, MatrixError> {
    let origin = AWAY.0.try_into().unwrap();
    let (typing, receipts) = (BoundedVec::new(typing).unwrap(), BoundedVec::new(receipts).unwrap());
    scene.ask(ReceiveEphemeral { origin, typing, receipts }).map(|_| vec!["told".to_owned()])
}
