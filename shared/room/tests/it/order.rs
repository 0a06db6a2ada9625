//! Events of other servers, in the order in which they refer to each other.

use serde_json::json;
use tern_model::{Pdu, RawJson};
use tern_room::order::topological;

fn event(id: &str, depth: u64, prev: &[&str], auth: &[&str]) -> Pdu {
    let raw = RawJson::from_value(&json!({
        "room_id": "!r:x", "sender": "@a:x", "type": "m.room.message", "content": {}, "origin_server_ts": 1,
        "depth": depth, "prev_events": prev, "auth_events": auth,
    }));
    Pdu::parse(id.try_into().unwrap(), raw.unwrap()).unwrap()
}

fn ids(events: Vec<Pdu>) -> Vec<String> {
    topological(events).iter().map(|pdu| pdu.id().to_string()).collect()
}

#[test]
fn each_comes_after_those_it_refers_to_whatever_depth_it_claims() {
    let events = vec![
        event("$d", 1, &["$c"], &["$a"]),
        event("$b", 7, &["$elsewhere"], &["$a"]),
        event("$c", 2, &["$b"], &[]),
        event("$a", 9, &[], &[]),
        event("$c", 2, &["$b"], &[]),
    ];
    assert_eq!(ids(events), ["$a", "$b", "$c", "$d"]);
}

#[test]
fn what_is_in_no_order_goes_by_depth_and_id_and_circles_come_last() {
    let events = vec![
        event("$y", 1, &["$x"], &[]),
        event("$x", 1, &["$y"], &[]),
        event("$self", 1, &[], &["$self"]),
        event("$q", 3, &[], &[]),
        event("$p", 3, &[], &[]),
        event("$z", 2, &[], &[]),
    ];
    assert_eq!(ids(events), ["$z", "$p", "$q", "$self", "$x", "$y"]);
}
