//! What others send fills nobody's hub.

use std::rc::Rc;

use ruma::OwnedUserId;
use serde_json::json;
use tern_model::{Notice, RoomSummary};
use tern_ports::{ObjectHost as _, Sql as _, wire::user::ListSharedUsers};

use crate::support::{Hub, alice, bob, member, message, notice, spoken, summary};

#[test]
fn of_the_threads_that_somebody_has_read_a_hub_keeps_the_newest() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins("r");
    for number in 0..250 {
        hub.reads("m.read", Some(&format!("$root{number}")), 1, number);
    }
    let count = |wanted: &str| {
        let sql = format!("SELECT count(*) FROM receipt WHERE thread_id LIKE '{wanted}'");
        hub.host.sql().query(&sql, &[]).unwrap()[0].int(0).unwrap()
    };
    assert_eq!([count("%"), count("$root0"), count("$root249")], [200, 0, 1]);
}

/// What is counted of a room, in bytes of its row.
fn ledger(hub: &Hub) -> u64 {
    hub.host.sql().query("SELECT length(threads) FROM room", &[]).unwrap()[0].int(0).unwrap_or(0)
}

fn in_thread(seq: u64, root: &str) -> tern_model::NoticeEvent {
    spoken(seq, bob(), &json!({"m.relates_to": {"rel_type": "m.thread", "event_id": root}}))
}

#[test]
fn what_is_unread_in_ever_new_threads_is_counted_and_takes_no_place() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let first = hub.unread(&session).total().0;
    for number in 0..300 {
        hub.tell(vec![in_thread(2 + number, &format!("$root{number}"))]);
    }
    let unread = hub.unread(&session);
    assert_eq!(unread.threads.len(), 200);
    assert_eq!((unread.main.0, unread.total().0), (first + 100, first + 300), "the others count in the main timeline");
    hub.reads("m.read", Some("$root7"), 301, 1);
    assert_eq!(hub.unread(&session).total().0, first + 299);
    hub.tell(vec![in_thread(302, "$another")]);
    assert_eq!(hub.unread(&session).threads.len(), 200, "in the place of what was read");
    hub.reads("m.read", Some("main"), 302, 2);
    assert_eq!(hub.unread(&session).total().0, 200);
    hub.reads("m.read", None, 302, 3);
    assert_eq!((hub.unread(&session).total().0, ledger(&hub)), (0, 0));
}

#[test]
fn the_id_of_no_event_is_no_thread() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let before = hub.unread(&session).main.0;
    for seq in 2..12 {
        hub.tell(vec![in_thread(seq, &format!("${seq}{}", "x".repeat(50_000)))]);
    }
    assert_eq!((hub.unread(&session).main.0, ledger(&hub)), (before + 10, 0));
}

#[test]
fn what_an_earlier_build_kept_of_threads_is_brought_within_bounds() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let first = hub.unread(&session).total().0;
    hub.tell(vec![in_thread(2, "$root")]);
    let many: std::collections::BTreeMap<String, (u64, u64, u64)> =
        (0..300).map(|number| (format!("$root{number}{}", "x".repeat(number)), (1, 0, 0))).collect();
    let text = serde_json::to_string(&many).unwrap();
    hub.host.sql().query("UPDATE room SET threads = ?", &[text.into()]).unwrap();
    let hub = hub.slept();
    let before = hub.unread(&session);
    assert!(before.threads.len() <= 200);
    assert_eq!(before.total().0, first + 300);
}

fn crowd(number: u64) -> Vec<OwnedUserId> {
    (0..number).map(|number| format!("@user{number:05}:x").try_into().unwrap()).collect()
}

impl Hub {
    /// Is in a room with so many others, of which the room tells.
    fn joins_crowd(&self, seq: u64, others: u64, (selective, encrypted): (bool, bool)) {
        let summary = RoomSummary { encrypted, joined: others + 1, ..RoomSummary::clone(&summary("11")) };
        self.deliver(vec![Notice {
            membership: Some("join".to_owned()),
            summary: Some(Rc::new(summary)),
            members: Some(Rc::new(crowd(others))),
            selective,
            ..notice("r", vec![member(seq, alice(), "join")])
        }]);
        self.host.settle();
    }

    fn companions(&self) -> [u64; 2] {
        ["companion", "device_list"].map(|table| {
            let rows = self.host.sql().query(&format!("SELECT count(*) FROM {table}"), &[]).unwrap();
            rows[0].int(0).unwrap()
        })
    }
}

#[test]
fn of_a_large_room_that_is_not_encrypted_a_hub_does_not_keep_who_is_there() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins_crowd(2, 300, (true, false));
    assert_eq!(hub.companions()[0], 0);
    assert!(hub.companions()[1] <= 1, "nobody's devices are to be looked up but one's own");
}

#[test]
fn a_room_that_became_large_is_let_go_of_and_one_that_becomes_encrypted_is_followed() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins_crowd(2, 150, (false, false));
    assert_eq!(hub.companions()[0], 150);
    hub.deliver(vec![Notice { selective: true, ..notice("r", vec![member(3, bob(), "join")]) }]);
    assert_eq!(hub.companions()[0], 150, "the room is large now: nobody comes in addition");
    let gone: OwnedUserId = crowd(1).remove(0);
    hub.deliver(vec![Notice { selective: true, ..notice("r", vec![member(4, &gone, "leave")]) }]);
    assert_eq!(hub.companions()[0], 149);
    hub.deliver(vec![Notice { selective: true, ..notice("r", vec![message(9, "after a gap")]) }]);
    assert_eq!(hub.companions()[0], 0, "who is there is not known any more");
    let encrypted = RoomSummary { encrypted: true, joined: 301, ..RoomSummary::clone(&summary("11")) };
    hub.deliver(vec![Notice {
        selective: true,
        summary: Some(Rc::new(encrypted)),
        members: Some(Rc::new(crowd(300))),
        ..notice("r", vec![message(10, "and encrypted")])
    }]);
    assert_eq!(hub.companions()[0], 300);
}

#[test]
fn a_search_asks_for_no_more_people_than_it_is_worth_and_for_those_it_names_first() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins_crowd(2, 5_000, (true, true));
    let search = |term: &str| {
        let term = term.try_into().unwrap();
        hub.ask(ListSharedUsers { session: session.clone(), term }).unwrap()
    };
    let found = search("user0499");
    assert!(found.iter().take(10).all(|user_id| user_id.as_str().contains("user0499")), "{:?}", &found[..10]);
    assert_eq!(found.len(), 260);
    assert_eq!(search("user").len(), 250);
    let bytes = serde_json::to_string(&search("9")).unwrap().len();
    assert!(bytes < 16_000, "{bytes} bytes");
}
