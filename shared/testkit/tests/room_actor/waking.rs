//! A room's head is behind its newest events, and is told from them when the room wakes.

use serde_json::json;
use tern_ports::Sql as _;

use super::scene::{ALICE, BOB, Scene, stored_texts};

impl Scene {
    fn count_of(&self, sql: &str) -> u64 {
        self.host.sqlite.query(sql, &[]).unwrap()[0].int(0).unwrap()
    }

    /// Depth of the newest event, and how many events it stands on that are not the one before it.
    fn newest_event(&self) -> (u64, u64) {
        (
            self.count_of("SELECT pdu ->> '$.depth' FROM events ORDER BY seq DESC LIMIT 1"),
            self.count_of(
                "SELECT count(*) FROM events e, json_each(e.pdu, '$.prev_events') p
                 WHERE e.seq = (SELECT max(seq) FROM events)
                     AND p.value <> (SELECT event_id FROM events o WHERE o.seq = e.seq - 1)",
            ),
        )
    }
}

#[test]
fn a_room_that_wakes_builds_on_its_newest_event() {
    let mut scene = Scene::new();
    scene.ring_until_silent();
    for number in 1..=30 {
        let (depth, _) = scene.newest_event();
        let head = scene.count_of("SELECT newest FROM head");
        match number % 10 {
            3 => drop(scene.set(ALICE, "m.room.topic", "", &json!({ "topic": "x".repeat(number) })).unwrap()),
            _ => drop(scene.say(if number % 2 == 0 { ALICE } else { BOB }, &number.to_string())),
        }
        assert_eq!(scene.newest_event(), (depth + 1, 0), "after {number} events");
        assert_eq!(
            scene.count_of("SELECT newest FROM head") > head,
            number % 10 == 3,
            "only state moves the head's row"
        );
        assert_eq!(scene.probe().newest.0, scene.count_of("SELECT max(seq) FROM events"));
        match number % 3 {
            0 => scene.evict(),
            1 => {
                scene.host.sqlite.make_durable();
                scene.crash();
            }
            _ => {}
        }
    }
    scene.ring_until_silent();
    let probe = scene.probe();
    assert_eq!((probe.announced, probe.forwarded), (probe.newest, probe.newest));
    assert_eq!(scene.count_of("SELECT newest FROM head"), probe.newest.0, "written with the cursors");
    assert_eq!(stored_texts(&scene).len(), 27);
    let weighed = "SELECT sum(length(CAST(pdu AS BLOB)) + coalesce(length(CAST(unsigned AS BLOB)), 0)) FROM events
        WHERE seq > (SELECT tail FROM head)";
    assert_eq!(scene.count_of("SELECT tail_bytes FROM head"), scene.count_of(weighed));
}

#[test]
fn a_repeated_transaction_is_known_in_every_life_and_after_a_turn_that_failed() {
    let mut scene = Scene::new();
    let first = scene.say_with_txn("hello", "1");
    assert_eq!(scene.say_with_txn("hello", "1"), first);
    let second = scene.say_with_txn("answered", "2");
    scene.crash();
    let newest = scene.probe().newest;
    assert_eq!(scene.say_with_txn("hello", "1"), first);
    assert_eq!(scene.say_with_txn("answered", "2"), second);
    assert_eq!(scene.probe().newest, newest);
    // The database refuses a turn: what it had appended is not known.
    scene.host.sqlite.bound(Some(0));
    let large = |number: u64| Scene::command(ALICE, &"x".repeat(9_000), &format!("large{number}"));
    let refused = (0..100).find(|number| scene.ask(large(*number)).is_err()).unwrap();
    scene.host.sqlite.bound(None);
    let newest = scene.probe().newest;
    scene.ask(large(refused)).unwrap();
    assert_eq!(scene.probe().newest, newest.next());
    scene.evict();
    assert_eq!(scene.say_with_txn("hello", "1"), first);
}

#[test]
fn a_room_of_an_earlier_build_goes_on() {
    let mut scene = Scene::new();
    let first = scene.say_with_txn("hello", "1");
    scene.ring_until_silent();
    scene.host.sqlite.script(
        "CREATE UNIQUE INDEX events_by_txn ON events (sender, device_id, txn_id, kind) WHERE txn_id IS NOT NULL;
         DROP TABLE services; DROP TABLE service_aliases; DROP TABLE registrations; DROP TABLE entered;
         UPDATE schema SET version = version - 3;",
    );
    scene.evict();
    let written = scene.host.sqlite.rows_written();
    assert_eq!(scene.say_with_txn("hello", "1"), first);
    let written = scene.host.sqlite.rows_written() - written;
    assert!(written <= 6, "{written} rows: two for each of the three steps, and no old row");
    scene.say_with_txn("later", "2");
    scene.ring_until_silent();
    assert_eq!(stored_texts(&scene), ["hello", "later"]);
}
