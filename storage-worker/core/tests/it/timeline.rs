use tern_model::RoomSeq;
use tern_ports::wire::{
    places::LocateEvent,
    storage::{LoadEvent, PageEvents},
};

use crate::support::{Worker, event, event_id, facts, journal, member, message, room, seqs, user, visibility};

fn page(id: &ruma::RoomId, after: u64, until: u64, backwards: bool, limit: u32) -> PageEvents {
    let (after, until) = (RoomSeq(after), RoomSeq(until));
    PageEvents { room_id: id.to_owned(), user_id: user("bob"), after, until, backwards, limit }
}

#[test]
fn pages_in_both_directions_meet_without_gap_or_repeat() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 23));
    for limit in [1, 10] {
        let (mut forwards, mut backwards) = (Vec::new(), Vec::new());
        let mut after = 0;
        while let Some(last) = Some(worker.ask(page(&id, after, 1000, false, limit)).events).filter(|e| !e.is_empty()) {
            forwards.extend(seqs(&last));
            after = *forwards.last().unwrap();
        }
        let mut until = 1000;
        while let Some(next) = Some(worker.ask(page(&id, 0, until, true, limit)).events).filter(|e| !e.is_empty()) {
            backwards.extend(seqs(&next));
            until = *backwards.last().unwrap() - 1;
        }
        backwards.reverse();
        assert_eq!(forwards, (1..=23).collect::<Vec<_>>());
        assert_eq!(backwards, forwards);
    }
}

#[test]
fn a_page_stays_within_its_bounds() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 23));
    let got = |after, until, backwards, limit| seqs(&worker.ask(page(&id, after, until, backwards, limit)).events);
    assert_eq!(got(10, 14, false, 10), [11, 12, 13, 14]);
    assert_eq!(got(10, 14, true, 10), [14, 13, 12, 11]);
    assert_eq!(got(10, 14, false, 2), [11, 12]);
    assert_eq!(got(10, 14, true, 2), [14, 13]);
    assert_eq!(got(14, 10, true, 2), [0; 0]);
    assert_eq!(got(14, 10, false, 2), [0; 0]);
    assert_eq!(seqs(&worker.ask(page(&room("x"), 0, 9, true, 9)).events), [0; 0]);
}

#[test]
fn a_page_of_large_events_ends_after_two_megabytes_and_goes_on_from_there() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 4));
    let large = |seq| {
        let length = if seq == 40 { 1_900_000 } else { 60_000 };
        event(&id, seq, "alice", "m.room.message", None, serde_json::json!({ "body": "x".repeat(length) }))
    };
    for seq in 5..=80 {
        worker.append(&id, &[large(seq)]);
    }
    for backwards in [false, true] {
        let (mut all, mut pages) = (Vec::new(), 0);
        loop {
            let (after, until) = match all.last() {
                None => (0, 1_000),
                Some(last) => {
                    if backwards {
                        (0, last - 1)
                    } else {
                        (*last, 1_000)
                    }
                }
            };
            let events = worker.ask(page(&id, after, until, backwards, 100)).events;
            if events.is_empty() {
                break;
            }
            let bytes: usize = events.iter().map(|event| event.pdu.text().len()).sum();
            assert!(bytes <= 2 << 20, "{bytes} bytes in {} events", events.len());
            all.extend(seqs(&events));
            pages += 1;
        }
        if backwards {
            all.reverse();
        }
        assert_eq!(all, (1..=80).collect::<Vec<_>>());
        assert!((4..=6).contains(&pages), "{pages} pages");
    }
}

#[test]
fn a_page_brings_the_facts_from_before_its_first_event_on() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 8));
    worker.append(&id, &[visibility(&id, 9, "joined"), member(&id, 10, "bob", "leave"), message(&id, 11, "alice")]);
    for backwards in [false, true] {
        let page = worker.ask(page(&id, 4, 6, backwards, 9));
        assert_eq!(facts(&page.facts.history), [(3, "shared"), (9, "joined")]);
        assert_eq!(facts(&page.facts.membership), [(4, "join"), (10, "leave")]);
    }
    let newest = worker.ask(page(&id, 0, 11, true, 1));
    assert_eq!(facts(&newest.facts.history), [(9, "joined")]);
    assert_eq!(facts(&newest.facts.membership), [(10, "leave")]);
}

#[test]
fn one_event_by_its_id_with_its_facts() {
    let (worker, one, two) = (Worker::new(), room("a"), room("b"));
    worker.append(&one, &journal(&one, 8));
    worker.append(&two, &journal(&two, 8));
    let load = |room_id: &ruma::RoomId, event_id| {
        worker.ask(LoadEvent { room_id: room_id.to_owned(), event_id, user_id: user("bob") })
    };
    let found = load(&one, event_id(&one, 4)).unwrap();
    assert_eq!((found.event.seq, found.event.event_id), (RoomSeq(4), event_id(&one, 4)));
    assert_eq!(facts(&found.facts.history), [(3, "shared")]);
    assert_eq!(facts(&found.facts.membership), [(4, "join")]);
    assert!(load(&two, event_id(&one, 4)).is_none(), "the event of another room");
    assert!(load(&one, event_id(&one, 9)).is_none());
    assert!(load(&room("x"), event_id(&one, 4)).is_none());
}

#[test]
fn the_room_of_an_event_is_found_on_whatever_shard_it_is() {
    let worker = Worker::new();
    let rooms = ["a", "b", "c", "d", "e", "f"].map(room);
    for id in &rooms {
        assert_eq!(worker.append(id, &journal(id, 5)), 5);
    }
    let locate = |event_id| worker.ask(LocateEvent { event_id });
    for id in &rooms {
        assert_eq!(locate(event_id(id, 4)).as_ref(), Some(id));
    }
    assert_eq!(locate(event_id(&rooms[0], 9)), None);
}

/// Runs every command of this file once.
pub(crate) fn touch(worker: &Worker, id: &ruma::RoomId) {
    worker.ask(page(id, 0, 9, true, 5));
    worker.ask(LoadEvent { room_id: id.to_owned(), event_id: event_id(id, 5), user_id: user("bob") });
    worker.ask(LocateEvent { event_id: event_id(id, 5) });
}
