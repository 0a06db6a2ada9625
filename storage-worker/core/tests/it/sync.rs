use serde_json::json;
use tern_model::RoomSeq;
use tern_ports::wire::{
    storage::{StateAt, SyncRooms},
    sync::SyncAsk,
};

use crate::support::{Worker, event, facts, journal, member, message, newest, room, seqs, user, visibility};

fn wants(patterns: &[(&str, &str)]) -> Vec<(String, String)> {
    patterns.iter().map(|(kind, key)| ((*kind).to_owned(), (*key).to_owned())).collect()
}

fn stored(last: u64) -> (Worker, ruma::OwnedRoomId) {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, last));
    (worker, id)
}

#[test]
fn the_newest_events_come_oldest_first() {
    let (worker, id) = stored(30);
    let slice = worker.sync_one(newest(&id, 5));
    assert_eq!((slice.through, slice.limited), (RoomSeq(30), true));
    assert_eq!(seqs(&slice.timeline), [26, 27, 28, 29, 30]);
    let whole = worker.sync_one(newest(&id, 100));
    assert_eq!((whole.timeline.len(), whole.limited), (30, false));
    let exact = worker.sync_one(newest(&id, 30));
    assert_eq!((exact.timeline.len(), exact.limited), (30, false));
}

#[test]
fn after_a_position_a_gap_shows_as_limited() {
    let (worker, id) = stored(30);
    let slice = |after, limit| worker.sync_one(SyncAsk { after: Some(RoomSeq(after)), ..newest(&id, limit) });
    let fits = slice(27, 5);
    assert_eq!((seqs(&fits.timeline), fits.limited), (vec![28, 29, 30], false));
    let gap = slice(10, 2);
    assert_eq!((seqs(&gap.timeline), gap.limited), (vec![29, 30], true));
    let nothing = slice(30, 5);
    assert_eq!((nothing.timeline.len(), nothing.limited, nothing.through), (0, false, RoomSeq(30)));
    let ahead = slice(40, 5);
    assert_eq!((ahead.timeline.len(), ahead.limited), (0, false));
    let none = slice(10, 0);
    assert_eq!((none.timeline.len(), none.limited), (0, true));
}

#[test]
fn a_room_that_is_not_stored_comes_back_empty_in_its_place() {
    let (worker, id) = stored(6);
    let rooms = vec![newest(&room("unknown"), 5), newest(&id, 1), newest(&room("other"), 5)];
    let answer = worker.ask(SyncRooms { rooms });
    let through: Vec<_> = answer.iter().map(|room| (room.room_id.as_str(), room.through.0)).collect();
    assert_eq!(through, [("!unknown:tern.test", 0), ("!a:tern.test", 6), ("!other:tern.test", 0)]);
}

#[test]
fn the_same_room_can_be_asked_twice() {
    let (worker, id) = stored(9);
    let answer = worker.ask(SyncRooms { rooms: vec![newest(&id, 1), newest(&id, 3)] });
    assert_eq!((answer[0].timeline.len(), answer[1].timeline.len()), (1, 3));
}

#[test]
fn wildcards_stand_for_any_type_and_any_key() {
    let (worker, id) = stored(5);
    let topic = |seq, key: &str| event(&id, seq, "alice", "org.example", Some(key), json!({ "n": seq }));
    let star = event(&id, 9, "alice", "org.example", Some("*"), json!({}));
    worker.append(&id, &[topic(6, "x"), topic(7, "y"), topic(8, "x"), star]);
    let state =
        |patterns: &[(&str, &str)]| seqs(&worker.sync_one(SyncAsk { state: wants(patterns), ..newest(&id, 0) }).state);
    assert_eq!(state(&[]), [0; 0]);
    assert_eq!(state(&[("m.room.create", ""), ("m.room.topic", "")]), [1]);
    assert_eq!(state(&[("org.example", "*")]), [7, 8, 9]);
    assert_eq!(state(&[("*", "")]), [1, 3]);
    assert_eq!(state(&[("*", "x")]), [8]);
    assert_eq!(state(&[("*", "*")]), [1, 2, 3, 4, 7, 8, 9]);
    assert_eq!(state(&[("*", "*"), ("org.example", "*"), ("org.example", "x")]), [1, 2, 3, 4, 7, 8, 9]);
    assert_eq!(state(&[("m.room.member", user("bob").as_str())]), [4]);
}

#[test]
fn each_room_has_patterns_of_its_own() {
    let worker = Worker::new();
    let rooms: Vec<_> = (0..6).map(|index| room(&format!("r{index}"))).collect();
    for id in &rooms {
        worker.append(id, &journal(id, 5));
    }
    let patterns: [&[(&str, &str)]; 3] = [&[("m.room.create", "")], &[], &[("m.room.member", "*")]];
    let ask = |(index, id): (usize, &ruma::OwnedRoomId)| SyncAsk { state: wants(patterns[index % 3]), ..newest(id, 0) };
    let answer = worker.ask(SyncRooms { rooms: rooms.iter().enumerate().map(ask).collect() });
    let state: Vec<_> = answer.iter().map(|room| seqs(&room.state)).collect();
    assert_eq!(state, [vec![1], vec![], vec![2, 4], vec![1], vec![], vec![2, 4]]);
}

#[test]
fn with_after_only_changed_state_comes() {
    let (worker, id) = stored(5);
    worker.append(&id, &[visibility(&id, 6, "joined"), member(&id, 7, "carol", "join"), message(&id, 8, "bob")]);
    let ask = SyncAsk { after: Some(RoomSeq(5)), state: wants(&[("*", "*")]), ..newest(&id, 10) };
    assert_eq!(seqs(&worker.sync_one(ask.clone()).state), [6, 7]);
    let lazy = SyncAsk { lazy: true, ..ask };
    assert_eq!(seqs(&worker.sync_one(lazy).state), [2, 4, 6, 7], "and who speaks, though nothing of theirs changed");
}

#[test]
fn lazy_brings_the_members_who_sent_the_timeline() {
    let (worker, id) = stored(5);
    worker.append(&id, &[member(&id, 6, "carol", "join"), message(&id, 7, "carol"), message(&id, 8, "nobody")]);
    let ask = |limit, lazy| worker.sync_one(SyncAsk { lazy, ..newest(&id, limit) });
    assert_eq!(seqs(&ask(2, true).state), [6]);
    assert_eq!(seqs(&ask(8, true).state), [2, 4, 6]);
    assert_eq!(seqs(&ask(8, false).state), [0; 0]);
    let both = SyncAsk { lazy: true, state: wants(&[("m.room.member", "*"), ("m.room.create", "")]), ..newest(&id, 2) };
    assert_eq!(seqs(&worker.sync_one(both).state), [1, 2, 4, 6]);
}

#[test]
fn until_ends_the_timeline_and_shows_the_state_of_then() {
    let (worker, id) = stored(10);
    let later = [visibility(&id, 11, "joined"), member(&id, 12, "bob", "leave"), message(&id, 13, "alice")];
    worker.append(&id, &later);
    let ask = SyncAsk { until: Some(RoomSeq(10)), state: wants(&[("*", "*")]), lazy: true, ..newest(&id, 3) };
    let slice = worker.sync_one(ask.clone());
    assert_eq!((seqs(&slice.timeline), slice.limited, slice.through.0), (vec![8, 9, 10], true, 13));
    assert_eq!(seqs(&slice.state), [1, 2, 3, 4]);
    let left = SyncAsk { until: Some(RoomSeq(12)), after: Some(RoomSeq(10)), ..ask.clone() };
    let slice = worker.sync_one(left);
    assert_eq!((seqs(&slice.timeline), seqs(&slice.state)), (vec![11, 12], vec![2, 11, 12]));
    let beyond = worker.sync_one(SyncAsk { until: Some(RoomSeq(99)), ..ask });
    assert_eq!((seqs(&beyond.timeline), seqs(&beyond.state)), (vec![11, 12, 13], vec![1, 2, 11, 12]));
}

#[test]
fn facts_begin_with_what_held_before_the_first_event() {
    let (worker, id) = stored(10);
    let later = [visibility(&id, 11, "joined"), member(&id, 12, "bob", "leave"), member(&id, 13, "bob", "join")];
    worker.append(&id, &later);
    worker.append(&id, &[message(&id, 14, "alice"), member(&id, 15, "alice", "leave")]);
    let got = |limit| worker.sync_one(newest(&id, limit)).facts;
    let two = got(2);
    assert_eq!(facts(&two.history), [(11, "joined")]);
    assert_eq!(facts(&two.membership), [(13, "join")]);
    let five = got(5);
    assert_eq!(facts(&five.history), [(3, "shared"), (11, "joined")]);
    assert_eq!(facts(&five.membership), [(4, "join"), (12, "leave"), (13, "join")]);
    let whole = got(15);
    assert_eq!(facts(&whole.membership), [(4, "join"), (12, "leave"), (13, "join")]);
    let none = worker.sync_one(SyncAsk { after: Some(RoomSeq(15)), ..newest(&id, 5) }).facts;
    assert_eq!((facts(&none.history), facts(&none.membership)), (vec![(11, "joined")], vec![(13, "join")]));
    let stranger = worker.sync_one(SyncAsk { user_id: user("zoe"), ..newest(&id, 2) }).facts;
    assert!(stranger.membership.is_empty());
}

#[test]
fn a_visibility_that_is_no_text_is_an_empty_value() {
    let (worker, id) = stored(5);
    worker.append(&id, &[event(&id, 6, "alice", "m.room.history_visibility", Some(""), json!({}))]);
    assert_eq!(facts(&worker.sync_one(newest(&id, 1)).facts.history), [(3, "shared"), (6, "")]);
}

#[test]
fn a_state_event_that_did_not_become_state_is_only_history() {
    let (worker, id) = stored(5);
    let mut lost = visibility(&id, 6, "joined");
    lost.is_state = false;
    worker.append(&id, &[lost]);
    let slice = worker.sync_one(SyncAsk { state: wants(&[("*", "*")]), ..newest(&id, 1) });
    assert_eq!((seqs(&slice.timeline), seqs(&slice.state)), (vec![6], vec![1, 2, 3, 4]));
    assert_eq!(facts(&slice.facts.history), [(3, "shared")]);
}

#[test]
fn state_at_a_position() {
    let (worker, id) = stored(5);
    let star = event(&id, 7, "alice", "m.room.history_visibility", Some("*"), json!({}));
    worker.append(&id, &[visibility(&id, 6, "joined"), star]);
    let state = |at, kind: Option<&str>, key: Option<&str>| {
        let room_id = id.clone();
        let (kind, state_key) = (kind.map(str::to_owned), key.map(str::to_owned));
        seqs(&worker.ask(StateAt { room_id, at: RoomSeq(at), kind, state_key }))
    };
    assert_eq!(state(0, None, None), [0; 0]);
    assert_eq!(state(5, None, None), [1, 2, 3, 4]);
    assert_eq!(state(7, None, None), [1, 2, 4, 6, 7]);
    assert_eq!(state(7, Some("m.room.member"), None), [2, 4]);
    assert_eq!(state(3, Some("m.room.member"), None), [2]);
    assert_eq!(state(7, Some("m.room.history_visibility"), Some("")), [6]);
    assert_eq!(state(7, None, Some("*")), [7], "a star is a state key like any other here");
    assert_eq!(state(7, Some("m.room.topic"), Some("")), [0; 0]);
    assert_eq!(worker.ask(StateAt { room_id: room("x"), at: RoomSeq(1), kind: None, state_key: None }), []);
}

#[test]
fn a_member_list_of_twenty_thousand_comes_whole() {
    let (worker, id) = stored(4);
    let joins: Vec<_> = (5..=20_004).map(|seq| member(&id, seq, &format!("user{seq}"), "join")).collect();
    assert_eq!(worker.append(&id, &joins), 20_004);
    let slice = worker.sync_one(SyncAsk { state: wants(&[("m.room.member", "*")]), ..newest(&id, 0) });
    assert_eq!(slice.state.len(), 20_002);
}
