//! What one member sends holds up nobody else, and fills nothing.

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tern_ports::{
    Sql as _,
    wire::{
        delayed::DelayEvent,
        room::{Draft, ReceiptDraft, SendReceipts},
    },
};

use super::scene::{ALICE, BOB, Scene, raw, user};

impl Scene {
    /// Bob has read `event_id`, the root of a thread, in that thread.
    fn read_thread(&self, event_id: &OwnedEventId) {
        let receipt = ReceiptDraft {
            kind: "m.read".try_into().unwrap(),
            event_id: event_id.as_str().try_into().unwrap(),
            thread_id: Some(event_id.as_str().try_into().unwrap()),
        };
        self.ask(SendReceipts { user_id: user(BOB), receipts: vec![receipt].try_into().unwrap() }).unwrap();
    }

    pub(crate) fn count(&self, sql: &str) -> u64 {
        self.host.sqlite.query(sql, &[]).unwrap()[0].int(0).unwrap()
    }
}

#[test]
fn of_the_threads_that_somebody_has_read_a_room_keeps_the_newest() {
    let scene = Scene::new();
    let roots: Vec<OwnedEventId> = (0..250).map(|number| scene.say(ALICE, &number.to_string())).collect();
    scene.host.settle();
    scene.ring_until_silent();
    for root in &roots {
        scene.read_thread(root);
        scene.host.clock.advance(1);
    }
    scene.host.settle();
    scene.ring_until_silent();
    assert_eq!(scene.count("SELECT count(*) FROM receipts"), 200);
    let kept = |root: &OwnedEventId| scene.count(&format!("SELECT count(*) FROM receipts WHERE thread_id = '{root}'"));
    assert_eq!((kept(&roots[0]), kept(&roots[249])), (0, 1));
}

/// A table that cannot be written or read, and an event that is due all the same.
#[test]
fn a_duty_of_the_alarm_that_fails_stops_no_other() {
    for table in ["receipts", "laggards"] {
        let mut scene = Scene::new();
        let root = scene.say(ALICE, "root");
        scene.evict();
        scene.ring_until_silent();
        let content = raw(&json!({ "msgtype": "m.text", "body": "due" }));
        let draft =
            Draft { sender: user(ALICE), kind: "m.room.message".to_owned(), state_key: None, content, redacts: None };
        scene
            .ask(DelayEvent {
                draft,
                device_id: "PHONE".into(),
                txn_id: None,
                delay_ms: 10_000,
                sticky_ms: None,
                ts: None,
            })
            .unwrap();
        scene.evict();
        scene.read_thread(&root);
        scene.host.sqlite.query(&format!("ALTER TABLE {table} RENAME TO away"), &[]).unwrap();
        let sent = "SELECT count(*) FROM events WHERE pdu LIKE '%\"due\"%'";
        let rings = (0..10).take_while(|_| scene.count(sent) == 0 && scene.ring()).count();
        assert_eq!(scene.count(sent), 1, "{table}: after {rings} alarms");
        scene.host.sqlite.query(&format!("ALTER TABLE away RENAME TO {table}"), &[]).unwrap();
        scene.ring_until_silent();
        assert_eq!(scene.count("SELECT count(*) FROM receipts"), 1, "{table}: what failed was tried again");
    }
}

#[test]
fn a_space_shows_of_its_children_what_clients_know_and_no_more_than_fits() {
    let scene =
        Scene::of(&json!({ "preset": "private_chat", "creation_content": { "type": "m.space" }, "name": "Space" }));
    let child = |number: u64| {
        json!({
            "via": vec!["tern.test"; 30], "order": "a", "suggested": number == 0, "junk": "x".repeat(60_000)
        })
    };
    for number in 0..40 {
        scene.set(ALICE, "m.space.child", &format!("!child{number}:tern.test"), &child(number)).unwrap();
    }
    scene.host.settle();
    scene.ring_until_silent();
    let probe = scene.probe();
    assert_eq!(probe.forwarded, probe.newest, "everything is stored");
    let facts = scene.ask(tern_ports::wire::directory::ReadSummary { caller: Some(user(ALICE)) }).unwrap().facts;
    assert_eq!(facts.children.len(), 40);
    let first: Value = facts.children[0].read().unwrap();
    assert_eq!(first["content"], json!({ "via": vec!["tern.test"; 20], "order": "a", "suggested": true }));
}
