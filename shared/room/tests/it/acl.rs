//! Which servers a room keeps out (Client-Server API, "Server Access Control Lists (ACLs) for rooms").

use ruma::{ServerName, events::StateEventType};
use serde_json::{Value, json};
use tern_room::acl::allows;

use crate::support::{ALICE, BOB, Room, state};

fn room(content: &Value) -> Room {
    let mut room = Room::create("12", json!({ "preset": "public_chat" }));
    room.set(ALICE, "m.room.server_acl", content);
    room
}

/// The servers of a list that the room lets take part.
fn allowed<'a>(content: &Value, servers: &[&'a str]) -> Vec<&'a str> {
    let room = room(content);
    let lets = |server: &&str| allows(&room, <&ServerName>::try_from(*server).unwrap()).unwrap();
    servers.iter().copied().filter(lets).collect()
}

#[test]
fn a_room_without_a_list_lets_everybody() {
    let room = Room::create("12", json!({ "preset": "public_chat" }));
    for server in ["a.test", "1.2.3.4", "[::1]:8448"] {
        assert!(allows(&room, server.try_into().unwrap()).unwrap(), "{server}");
    }
}

#[test]
fn who_is_not_named_is_kept_out_and_denying_comes_first() {
    let servers = ["a.test", "b.test", "sub.a.test"];
    assert_eq!(allowed(&json!({}), &servers), [""; 0]);
    assert_eq!(allowed(&json!({ "allow": [] }), &servers), [""; 0]);
    assert_eq!(allowed(&json!({ "allow": ["a.test"] }), &servers), ["a.test"]);
    assert_eq!(allowed(&json!({ "allow": ["*"], "deny": ["a.test"] }), &servers), ["b.test", "sub.a.test"]);
    assert_eq!(allowed(&json!({ "allow": ["a.test"], "deny": ["*"] }), &servers), [""; 0]);
}

#[test]
fn names_are_globs_over_the_whole_name() {
    let servers = ["a.test", "b.test", "sub.a.test", "a.test.evil", "aXtest", "ab.test"];
    assert_eq!(allowed(&json!({ "allow": ["*.a.test"] }), &servers), ["sub.a.test"]);
    assert_eq!(allowed(&json!({ "allow": ["?.test"] }), &servers), ["a.test", "b.test"]);
    assert_eq!(allowed(&json!({ "allow": ["a.test"] }), &servers), ["a.test"], "a dot is a dot");
    assert_eq!(
        allowed(&json!({ "allow": ["*.test", "a*"] }), &servers),
        ["a.test", "b.test", "sub.a.test", "a.test.evil", "aXtest", "ab.test"]
    );
}

#[test]
fn case_and_port_make_no_difference() {
    let servers = ["A.Test", "a.test:8448", "b.test:1", "B.TEST"];
    assert_eq!(allowed(&json!({ "allow": ["a.TEST"] }), &servers), ["A.Test", "a.test:8448"]);
    assert_eq!(allowed(&json!({ "allow": ["*"], "deny": ["B.test"] }), &servers), ["A.Test", "a.test:8448"]);
    assert_eq!(allowed(&json!({ "allow": ["a.test:8448"] }), &servers), [""; 0], "a list names no ports");
}

#[test]
fn addresses_count_as_names_unless_they_are_kept_out() {
    let servers = ["1.2.3.4", "1.2.3.4:8448", "[2001:db8::1]", "[2001:db8::1]:8448", "a.test"];
    assert_eq!(allowed(&json!({ "allow": ["*"] }), &servers), servers);
    assert_eq!(allowed(&json!({ "allow": ["*"], "allow_ip_literals": true }), &servers), servers);
    assert_eq!(allowed(&json!({ "allow": ["*"], "allow_ip_literals": false }), &servers), ["a.test"]);
    let named = json!({ "allow": ["*", "1.2.3.4"], "allow_ip_literals": false });
    assert_eq!(allowed(&named, &servers), ["a.test"], "also when they are named");
    let denied = json!({ "allow": ["*"], "deny": ["1.2.3.*", "[2001:*"] });
    assert_eq!(allowed(&denied, &servers), ["a.test"]);
}

#[test]
fn of_a_damaged_list_the_good_parts_count() {
    let servers = ["a.test", "1.2.3.4"];
    assert_eq!(allowed(&json!({ "allow": ["a.test", 7, null] }), &servers), ["a.test"]);
    assert_eq!(allowed(&json!({ "allow": "a.test" }), &servers), [""; 0]);
    assert_eq!(allowed(&json!({ "allow": ["*"], "deny": "a.test" }), &servers), servers);
    assert_eq!(allowed(&json!({ "allow": ["*"], "allow_ip_literals": "no" }), &servers), servers);
}

#[test]
fn the_list_is_state_like_any_other() {
    let mut room = room(&json!({ "allow": ["tern.test"] }));
    room.join(BOB);
    assert!(room.refused(&state(BOB, "m.room.server_acl", "", &json!({ "allow": ["*"] }))).0 == 403);
    room.state.remove(&(StateEventType::RoomServerAcl, String::new()));
    assert!(allows(&room, "a.test".try_into().unwrap()).unwrap());
    room.broken = true;
    assert!(allows(&room, "tern.test".try_into().unwrap()).is_err(), "what cannot be read lets nobody in");
}
