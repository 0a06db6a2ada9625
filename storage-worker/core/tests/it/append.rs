use std::collections::BTreeSet;

use ruma::{OwnedEventId, device_id};
use serde_json::json;
use tern_model::{RawJson, RoomSeq, TxnRef};
use tern_ports::{
    Sql,
    wire::storage::{AppendEvent, LoadAuthChain, PageEvents, ResolutionChange, StateAt},
};
use tern_storage::Database;

use crate::support::{Worker, event, event_id, facts, journal, message, newest, redaction, room, seqs, user};

fn all(worker: &Worker, name: &str) -> Vec<tern_model::StoredEvent> {
    let ask = PageEvents {
        room_id: room(name),
        user_id: user("bob"),
        after: RoomSeq(0),
        until: RoomSeq(1_000_000),
        backwards: false,
        limit: 1_000_000,
    };
    worker.ask(ask).events
}

#[test]
fn what_is_appended_comes_back_as_it_was() {
    let (worker, id) = (Worker::new(), room("a"));
    let mut events = journal(&id, 6);
    let txn = TxnRef { device_id: device_id!("DEV").to_owned(), txn_id: "t\"1".to_owned() };
    events[5].event.txn = Some(txn);
    events[5].event.unsigned = Some(RawJson::parse(r#"{"prev_content" : {"a":"ü\n"}}"#.to_owned()).unwrap());
    assert_eq!(worker.append(&id, &events), 6);
    let expected: Vec<_> = events.into_iter().map(|append| append.event).collect();
    assert_eq!(all(&worker, "a"), expected);
}

#[test]
fn a_repeated_append_changes_nothing() {
    let (worker, id) = (Worker::new(), room("a"));
    let mut events = journal(&id, 8);
    events.push(redaction(&id, 9, 6));
    worker.append(&id, &events);
    let (stored, written) = (all(&worker, "a"), worker.node.d1.rows_written());
    assert_eq!(worker.append(&id, &events), 9);
    assert_eq!(worker.append(&id, &events[3..7]), 9);
    assert_eq!(worker.append(&id, &[]), 9);
    assert_eq!(all(&worker, "a"), stored);
    assert_eq!(worker.node.d1.rows_written(), written);
}

#[test]
fn an_overlapping_append_adds_only_what_is_new() {
    let (worker, id) = (Worker::new(), room("a"));
    let events = journal(&id, 12);
    assert_eq!(worker.append(&id, &events[..6]), 6);
    assert_eq!(worker.append(&id, &events[3..]), 12);
    assert_eq!(seqs(&all(&worker, "a")), (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_gap_is_refused_and_the_answer_says_where_to_go_on() {
    let (worker, id) = (Worker::new(), room("a"));
    let events = journal(&id, 12);
    assert_eq!(worker.append(&id, &events[4..]), 0, "a room that nobody has begun");
    assert_eq!(worker.append(&id, &events[..6]), 6);
    assert_eq!(worker.append(&id, &events[7..]), 6, "event 7 is missing");
    let mut broken = events[6..9].to_vec();
    broken.extend_from_slice(&events[10..]);
    assert_eq!(worker.append(&id, &broken), 9, "up to the gap inside the list");
    assert_eq!(worker.append(&id, &events[9..]), 12);
    assert_eq!(seqs(&all(&worker, "a")), (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_refused_append_leaves_no_state_and_no_redaction() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 6));
    let late = [crate::support::visibility(&id, 8, "joined"), redaction(&id, 9, 5)];
    assert_eq!(worker.append(&id, &late), 6);
    let mut ask = newest(&id, 1);
    ask.state = vec![("m.room.history_visibility".to_owned(), String::new())];
    assert_eq!(seqs(&worker.sync_one(ask).state), [3]);
    assert!(all(&worker, "a")[4].pdu.text().contains("message 5"));
}

#[test]
fn a_redaction_replaces_the_stored_event() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 6));
    worker.append(&id, &[redaction(&id, 7, 5)]);
    let events = all(&worker, "a");
    assert_eq!(events[4].pdu.text(), r#"{"content":{},"type":"m.room.message"}"#);
    assert_eq!(events[4].unsigned.as_ref().unwrap().text(), r#"{"redacted_because":{"seq":7}}"#);
    assert!(events[5].pdu.text().contains("message 6"));
}

#[test]
fn a_redaction_in_the_same_append_is_applied_and_not_undone_by_a_repeat() {
    let (worker, id) = (Worker::new(), room("a"));
    let mut events = journal(&id, 6);
    events.push(redaction(&id, 7, 5));
    worker.append(&id, &events);
    assert!(all(&worker, "a")[4].unsigned.is_some());
    worker.append(&id, &events[..5]);
    assert!(all(&worker, "a")[4].unsigned.is_some(), "the original comes again without its redaction");
}

#[test]
fn a_redaction_reaches_only_its_own_room() {
    let (worker, one, two) = (Worker::new(), room("a"), room("b"));
    worker.append(&one, &journal(&one, 6));
    worker.append(&two, &journal(&two, 6));
    let mut foreign = redaction(&two, 7, 5);
    foreign.redaction.as_mut().unwrap().event_id = event_id(&one, 5);
    worker.append(&two, &[foreign]);
    assert!(all(&worker, "a")[4].pdu.text().contains("message 5"));
}

#[test]
fn rooms_do_not_mix_on_a_shard() {
    let worker = Worker::new();
    let rooms: Vec<_> = (0..20).map(|index| room(&format!("r{index}"))).collect();
    for (index, id) in rooms.iter().enumerate() {
        assert_eq!(worker.append(id, &journal(id, 5 + index as u64)), 5 + index as u64);
    }
    for (index, id) in rooms.iter().enumerate() {
        let events = all(&worker, &format!("r{index}"));
        assert_eq!(events.len(), 5 + index);
        assert!(events.iter().all(|event| event.event_id == event_id(id, event.seq.0)));
    }
    let used = (0..4).filter(|shard| {
        let count = worker.node.d1.database(Database::Shard(*shard)).query("SELECT count(*) FROM rooms", &[]);
        count.unwrap()[0].int(0) != Some(0)
    });
    assert!(used.count() > 1, "rooms are spread over the shards");
}

#[test]
fn a_placement_is_kept_by_a_worker_that_has_forgotten_it() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 5));
    let restarted = Worker::on(worker.node.restarted());
    assert_eq!(restarted.append(&id, &journal(&id, 5)), 5);
    assert_eq!(restarted.append(&id, &[message(&id, 6, "alice")]), 6);
}

#[test]
fn an_append_larger_than_one_parameter_is_still_one_batch() {
    let (worker, id) = (Worker::new(), room("a"));
    let mut events = journal(&id, 60);
    for append in &mut events {
        let filler = "x".repeat(60_000);
        append.event.pdu = RawJson::from_value(&serde_json::json!({ "content": { "body": filler } })).unwrap();
    }
    worker.node.d1.take_batches();
    assert_eq!(worker.append(&id, &events), 60);
    let batches = worker.node.d1.take_batches();
    assert_eq!(batches.len(), 2, "the placement, and the events");
    assert!(batches[1].1.len() > 4);
}

#[test]
fn an_outage_is_a_503_and_stores_nothing() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 5));
    worker.node.d1.outage.set(true);
    let append = tern_ports::wire::storage::AppendEvents {
        room_id: id.clone(),
        room_version: "12".to_owned(),
        events: vec![message(&id, 6, "alice")],
        facts: None,
    };
    assert_eq!(worker.try_ask(append).unwrap_err().status, 503);
    worker.node.d1.outage.set(false);
    assert_eq!(worker.append(&id, &[]), 5);
}

#[test]
fn an_event_id_at_two_positions_fails_the_whole_append() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 5));
    let (good, mut bad) = (message(&id, 6, "alice"), message(&id, 7, "alice"));
    bad.event.event_id = event_id(&id, 5);
    let append = tern_ports::wire::storage::AppendEvents {
        room_id: id.clone(),
        room_version: "12".to_owned(),
        events: vec![good, bad],
        facts: None,
    };
    assert_eq!(worker.try_ask(append).unwrap_err().status, 503);
    assert_eq!(worker.append(&id, &[]), 5);
}

#[test]
fn an_event_id_of_another_room_holds_nothing_up() {
    let worker = Worker::new();
    // More rooms than shards.
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        let id = room(name);
        let mut made_up = message(&id, 1, "alice");
        made_up.event.event_id = OwnedEventId::try_from("$made-up:far.test").unwrap();
        assert_eq!(worker.append(&id, &[made_up]), 1, "{name}");
    }
}

#[test]
fn state_is_what_resolution_made_of_it() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 9));
    let resolution = |kind: &str, key: &str, event: Option<u64>| ResolutionChange {
        kind: kind.to_owned(),
        state_key: key.to_owned(),
        event: event.map(RoomSeq),
    };
    let topic = |seq, text: &str| event(&id, seq, "alice", "m.room.topic", Some(""), json!({ "topic": text }));
    let bob = user("bob");
    let resolved = AppendEvent {
        resolutions: vec![resolution("m.room.topic", "", Some(10)), resolution("m.room.member", bob.as_str(), None)],
        ..message(&id, 12, "alice")
    };
    let lost = AppendEvent { is_state: false, ..topic(13, "lost") };
    worker.append(&id, &[topic(10, "first"), topic(11, "second")]);
    // Twice, as after a lost answer.
    worker.append(&id, &[resolved.clone(), lost.clone()]);
    worker.append(&id, &[resolved, lost]);
    let state = |at: u64, kind: Option<&str>, key: Option<&str>| {
        let (kind, state_key) = (kind.map(str::to_owned), key.map(str::to_owned));
        worker.ask(StateAt { room_id: id.clone(), at: RoomSeq(at), kind, state_key })
    };
    for (kind, key) in [(Some("m.room.topic"), Some("")), (Some("m.room.topic"), None), (None, Some("")), (None, None)]
    {
        for (at, came, became) in [(10, 10, 10), (11, 11, 11), (12, 10, 12), (13, 10, 12)] {
            let found = state(at, kind, key).into_iter().find(|event| event.kind == "m.room.topic").unwrap();
            assert_eq!((&found.event_id, found.seq), (&event_id(&id, came), RoomSeq(became)), "{at} {kind:?} {key:?}");
        }
    }
    assert_eq!(state(11, Some("m.room.member"), Some(bob.as_str())).len(), 1);
    assert_eq!(state(12, Some("m.room.member"), Some(bob.as_str())).len(), 0);
    assert!(state(13, None, None).iter().all(|event| event.state_key.as_deref() != Some(bob.as_str())));
    let mut ask = newest(&id, 5);
    ask.state = vec![("*".to_owned(), "*".to_owned())];
    ask.after = Some(RoomSeq(11));
    let slice = worker.sync_one(ask);
    let told: Vec<_> = slice.state.iter().map(|event| (event.kind.as_str(), event.seq.0)).collect();
    assert_eq!(told, [("m.room.topic", 12)], "what became state since");
    assert_eq!(slice.timeline.last().unwrap().state_key, None, "it lost");
    assert_eq!(facts(&slice.facts.membership).last(), Some(&(12, "")));
}

#[test]
fn auth_chains_are_walked_within_the_room() {
    let (worker, id) = (Worker::new(), room("a"));
    let citing = |seq: u64, cited: &[u64]| {
        let mut append = message(&id, seq, "alice");
        let cited: Vec<_> = cited.iter().map(|seq| event_id(&id, *seq)).collect();
        append.event.pdu = RawJson::from_value(&json!({ "type": "m.room.message", "auth_events": cited })).unwrap();
        append
    };
    worker.append(&id, &[citing(1, &[]), citing(2, &[1]), citing(3, &[1, 2]), citing(4, &[2]), citing(5, &[4, 3])]);
    let chain = |room_id: &ruma::RoomId, from: &[u64], limit| {
        let events = from.iter().map(|seq| event_id(&id, *seq)).collect();
        let links = worker.ask(LoadAuthChain { room_id: room_id.to_owned(), events, limit });
        links.into_iter().map(|link| (link.event_id, link.auth.len())).collect::<BTreeSet<_>>()
    };
    let link = |seq: u64, cites: usize| (event_id(&id, seq), cites);
    assert_eq!(chain(&id, &[4], 100), BTreeSet::from([link(4, 1), link(2, 1), link(1, 0)]));
    assert_eq!(chain(&id, &[5, 9], 100).len(), 5);
    assert_eq!(chain(&id, &[5], 2).len(), 2);
    assert_eq!(chain(&room("b"), &[5], 100).len(), 0);
    worker.append(&room("b"), &[message(&room("b"), 1, "alice")]);
    assert_eq!(chain(&room("b"), &[5], 100).len(), 0, "events of other rooms are none of its");
}
