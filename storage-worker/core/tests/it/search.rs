use serde_json::json;
use tern_model::Millis;
use tern_ports::{
    Sql,
    wire::search::{Matches, SearchEvents},
};
use tern_storage::Database;

use crate::support::{Worker, event, event_id, facts, journal, member, message, redaction, room, user, visibility};

fn ask(names: &[&str], words: &[&str]) -> SearchEvents {
    SearchEvents {
        rooms: names.iter().map(|name| room(name)).collect(),
        user_id: user("bob"),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        kinds: ["m.room.message", "m.room.name", "m.room.topic"].map(str::to_owned).into(),
        senders: None,
        not_senders: Vec::new(),
        with_url: None,
        rel_types: None,
        not_rel_types: Vec::new(),
        until: None,
        limit: 100,
    }
}

/// Positions of what is found, newest first.
fn found(worker: &Worker, ask: SearchEvents) -> Vec<u64> {
    worker.ask(ask).events.iter().map(|event| event.seq.0).collect()
}

/// How many events are in the index of any shard, once it has found itself sound. It is not compared with the view, which
/// also has what must not be in it.
fn indexed(worker: &Worker) -> usize {
    let count = |shard: u8| {
        let shard = worker.node.d1.database(Database::Shard(shard));
        shard.query("INSERT INTO search (search, rank) VALUES ('integrity-check', 0)", &[]).unwrap();
        shard.query("SELECT id FROM search_docsize", &[]).unwrap().len()
    };
    (0..4).map(count).sum()
}

fn said(seq: u64, sender: &str, body: &str) -> tern_ports::wire::storage::AppendEvent {
    event(&room("a"), seq, sender, "m.room.message", None, json!({ "body": body }))
}

fn encryption(seq: u64) -> tern_ports::wire::storage::AppendEvent {
    event(&room("a"), seq, "alice", "m.room.encryption", Some(""), json!({ "algorithm": "m.megolm.v1.aes-sha2" }))
}

#[test]
fn all_words_have_to_be_there_whatever_their_case_and_accents() {
    let worker = Worker::new();
    worker.append(&room("a"), &journal(&room("a"), 4));
    worker.append(
        &room("a"),
        &[said(5, "alice", "Der Löwe brüllt"), said(6, "bob", "löwe und Maus"), said(7, "bob", "Maus")],
    );
    for (words, expected) in [
        (&["lowe"][..], &[6, 5][..]),
        (&["LÖWE", "maus"], &[6]),
        (&["brüllt", "maus"], &[]),
        (&["und Maus"], &[6]),
        (&["Maus und"], &[]),
        (&["\" OR *"], &[]),
        (&["maus NOT bob"], &[]),
    ] {
        assert_eq!(found(&worker, ask(&["a"], words)), expected, "{words:?}");
    }
}

#[test]
fn only_the_rooms_that_are_named_are_searched_and_the_newest_come_first() {
    let worker = Worker::new();
    for name in ["a", "b", "c"] {
        worker.append(&room(name), &journal(&room(name), 8));
    }
    assert_eq!(found(&worker, ask(&["b"], &["message"])), [8, 7, 6, 5]);
    let Matches { events, .. } = worker.ask(ask(&["a", "b", "x"], &["message"]));
    assert!(events.iter().all(|event| event.room_id != room("c")));
    assert!(events.is_sorted_by(|one, two| one.ts >= two.ts));
    assert_eq!(events.len(), 8);
    let limited = SearchEvents { limit: 3, until: Some(Millis(1_790_000_000_007)), ..ask(&["a", "b"], &["message"]) };
    assert_eq!(found(&worker, limited), [7, 7, 6]);
}

#[test]
fn types_senders_and_urls_are_told_apart() {
    let (worker, id) = (Worker::new(), room("a"));
    let mut events = journal(&id, 4);
    events.push(event(&id, 5, "alice", "m.room.name", Some(""), json!({ "name": "needle name" })));
    events.push(event(&id, 6, "alice", "m.room.topic", Some(""), json!({ "topic": "needle topic" })));
    events.push(event(&id, 7, "bob", "m.room.message", None, json!({ "body": "needle", "url": "mxc://a/b" })));
    events.push(event(&id, 8, "alice", "org.example", None, json!({ "body": "needle" })));
    events.push(said(9, "carol", "needle"));
    worker.append(&id, &events);
    let needle = || ask(&["a"], &["needle"]);
    assert_eq!(found(&worker, needle()), [9, 7, 6, 5]);
    let topic = SearchEvents { kinds: vec!["m.room.topic".to_owned()], ..needle() };
    assert_eq!(found(&worker, topic), [6]);
    let bob = vec![user("bob").to_string()];
    assert_eq!(found(&worker, SearchEvents { senders: Some(bob.clone()), ..needle() }), [7]);
    assert_eq!(found(&worker, SearchEvents { not_senders: bob, ..needle() }), [9, 6, 5]);
    assert_eq!(found(&worker, SearchEvents { with_url: Some(true), ..needle() }), [7]);
    assert_eq!(found(&worker, SearchEvents { with_url: Some(false), ..needle() }), [9, 6, 5]);
}

#[test]
fn what_is_found_comes_with_the_facts_of_its_room() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 6));
    worker.append(&id, &[visibility(&id, 7, "joined"), member(&id, 8, "bob", "leave"), message(&id, 9, "alice")]);
    worker.append(&room("b"), &journal(&room("b"), 4));
    let Matches { facts: rooms, .. } = worker.ask(ask(&["a", "b"], &["message"]));
    let [(room_id, of)] = rooms.as_slice() else { panic!("facts of the room with matches only: {rooms:?}") };
    assert_eq!(*room_id, id);
    assert_eq!(facts(&of.history), [(3, "shared"), (7, "joined")]);
    assert_eq!(facts(&of.membership), [(4, "join"), (8, "leave")]);
}

#[test]
fn a_redacted_event_is_not_found_and_not_in_the_index() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 8));
    assert_eq!(indexed(&worker), 4);
    worker.append(&id, &[redaction(&id, 9, 6)]);
    assert_eq!(found(&worker, ask(&["a"], &["message"])), [8, 7, 5]);
    assert_eq!(indexed(&worker), 3);
    let again = [message(&id, 10, "alice"), redaction(&id, 11, 10), redaction(&id, 12, 6)];
    worker.append(&id, &again);
    worker.append(&id, &again);
    assert_eq!(found(&worker, ask(&["a"], &["message"])), [8, 7, 5], "redacted with the append that brought it");
    assert_eq!(indexed(&worker), 3);
    for shard in 0..4 {
        let tables = worker.node.d1.database(Database::Shard(shard));
        let held = tables.query("SELECT count(*) FROM search_data WHERE instr(block, '6')", &[]).unwrap();
        let words = tables.query("SELECT count(*) FROM search('6')", &[]).unwrap();
        assert_eq!((held[0].int(0), words[0].int(0)), (Some(0), Some(0)), "the word itself is gone");
    }
}

#[test]
fn an_event_that_only_lost_its_copy_of_another_stays_in_the_index() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 4));
    let name = |seq, name: &str| event(&id, seq, "alice", "m.room.name", Some(""), json!({ "name": name }));
    let second = name(6, "second");
    worker.append(&id, &[name(5, "first"), second.clone()]);
    let mut redacted = redaction(&id, 7, 5);
    if let Some(redaction) = &mut redacted.redaction {
        let copy = tern_ports::wire::storage::Redaction {
            event_id: event_id(&id, 6),
            pdu: second.event.pdu,
            unsigned: None,
            also: Vec::new(),
        };
        redaction.also.push(copy);
    }
    worker.append(&id, &[redacted]);
    assert_eq!(found(&worker, ask(&["a"], &["first"])), [0_u64; 0]);
    assert_eq!(found(&worker, ask(&["a"], &["second"])), [6]);
}

#[test]
fn nothing_is_indexed_for_an_encrypted_room() {
    let (worker, id) = (Worker::new(), room("a"));
    let mut events = journal(&id, 4);
    events.extend([said(5, "alice", "before in the same append"), encryption(6), said(7, "alice", "plain text")]);
    worker.append(&id, &events);
    worker.append(&id, &[said(8, "alice", "more plain text")]);
    let sealed = json!({ "ciphertext": "text", "body": "text" });
    worker.append(&id, &[event(&id, 9, "alice", "m.room.encrypted", None, sealed)]);
    assert_eq!(indexed(&worker), 0);
    assert_eq!(found(&worker, ask(&["a"], &["text"])), [0_u64; 0]);
}

#[test]
fn a_room_that_becomes_encrypted_leaves_the_index_and_others_stay() {
    let (worker, id) = (Worker::new(), room("a"));
    for name in ["a", "b", "c", "d", "e"] {
        worker.append(&room(name), &journal(&room(name), 8));
    }
    worker.append(&id, &[encryption(9)]);
    assert_eq!(found(&worker, ask(&["a"], &["message"])), [0_u64; 0]);
    assert_eq!(indexed(&worker), 16);
    worker.append(&id, &[encryption(9), said(10, "alice", "message"), redaction(&id, 11, 8)]);
    assert_eq!(indexed(&worker), 16);
    assert_eq!(found(&worker, ask(&["a", "b"], &["message"])), [8, 7, 6, 5]);
}

#[test]
fn a_text_that_says_the_word_oftener_or_little_else_matches_better() {
    let worker = Worker::new();
    worker.append(&room("a"), &journal(&room("a"), 4));
    let long = format!("needle {}", "hay ".repeat(100));
    worker.append(&room("a"), &[said(5, "bob", &long), said(6, "bob", "a needle"), said(7, "bob", "needle needle")]);
    let mut events = worker.ask(ask(&["a"], &["needle"])).events;
    events.sort_by_key(|event| std::cmp::Reverse(event.score));
    assert_eq!(events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [7, 6, 5]);
}

/// Runs every command of this file once.
pub(crate) fn touch(worker: &Worker) {
    worker.ask(ask(&["a"], &["message"]));
}
