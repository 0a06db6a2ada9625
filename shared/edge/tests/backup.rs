//! Backups of room keys as clients write and read them, over a real storage worker.

#![expect(clippy::unwrap_used, reason = "tests")]

mod edge;

use ruma::{OwnedUserId, UserId, owned_room_id};
use serde_json::{Map, Value, json};
use tern_edge::backup::{self, Export, Rooms};
use tern_model::MatrixError;

use edge::{Edge, code, config};

fn alice() -> OwnedUserId {
    UserId::parse_with_server_name("alice", &config().server_name).unwrap()
}

fn create(edge: &Edge) -> String {
    let method = serde_json::from_value(json!({ "algorithm": "a", "auth_data": {} })).unwrap();
    edge.run(backup::create(edge, &alice(), method)).unwrap()
}

fn store(edge: &Edge, version: &str, rooms: &Value) -> Result<Value, MatrixError> {
    let rooms: Rooms = serde_json::from_value(rooms.clone()).unwrap();
    edge.run(backup::store(edge, &alice(), Some(version), rooms))
}

fn session(index: u64, length: usize) -> Value {
    json!({
        "first_message_index": index, "forwarded_count": 0, "is_verified": false,
        "session_data": { "ciphertext": "c".repeat(length) },
    })
}

fn sessions(count: usize, length: usize) -> Value {
    let sessions: Map<_, _> = (0..count).map(|n| (format!("s{n:05}"), session(n as u64, length))).collect();
    json!({ "sessions": sessions })
}

/// All pieces, and how many there were.
fn export(edge: &Edge, mut export: Export) -> (Value, usize) {
    let (mut text, mut pieces) = (String::new(), 0);
    while !export.is_over() {
        text.push_str(&edge.run(export.next(edge)).unwrap());
        pieces += 1;
    }
    (serde_json::from_str(&text).unwrap(), pieces)
}

#[test]
fn a_backup_of_any_size_comes_back_as_it_was_stored() {
    let edge = Edge::new();
    let version = create(&edge);
    let read = |room| export(&edge, Export::new(&alice(), Some(&version), room).unwrap());
    let [one, two] = [owned_room_id!("!one:example.org"), owned_room_id!("!two:example.org")];
    assert_eq!(read(None), (json!({ "rooms": {} }), 1));
    assert_eq!(read(Some(one.clone())), (json!({ "sessions": {} }), 1));
    // Two full pieces by number, and a room that reaches over both.
    let mut rooms = json!({ one.as_str(): sessions(1_500, 10), two.as_str(): sessions(2_500, 10) });
    assert_eq!(store(&edge, &version, &rooms).unwrap()["count"], 4_000);
    assert_eq!(read(None), (json!({ "rooms": rooms }), 3));
    assert_eq!(read(Some(two.clone())), (rooms[two.as_str()].clone(), 2));
    // And by bytes.
    rooms["!long:example.org"] = sessions(300, 60_000);
    for chunk in rooms["!long:example.org"]["sessions"].as_object().unwrap().iter().collect::<Vec<_>>().chunks(50) {
        let sessions: Map<_, _> = chunk.iter().map(|(id, session)| ((*id).clone(), (*session).clone())).collect();
        store(&edge, &version, &json!({ "!long:example.org": { "sessions": sessions } })).unwrap();
    }
    let (whole, pieces) = read(None);
    assert!(whole == json!({ "rooms": rooms }) && pieces > 6, "{pieces}");
    let first = edge.run(backup::load(&edge, &alice(), Some(&version), one, "s00007")).unwrap();
    assert_eq!(serde_json::to_value(first).unwrap(), session(7, 10));
    let unknown = Export::new(&alice(), Some("99"), None).unwrap();
    assert_eq!(code(edge.run(async { { unknown }.next(&edge).await })), (404, "M_NOT_FOUND".to_owned()));
}

#[test]
fn numbers_that_json_does_not_carry_and_other_names_of_a_version_are_refused() {
    let edge = Edge::new();
    let version = create(&edge);
    for high in [1 << 53, u64::MAX] {
        let room = json!({ "!r:example.org": { "sessions": { "s": session(high, 1) } } });
        assert_eq!(code(store(&edge, &version, &room)), (400, "M_BAD_JSON".to_owned()));
    }
    for other in ["01", "+1", "1.0", "", "x"] {
        assert_eq!(code(edge.run(backup::read(&edge, &alice(), Some(other)))), (404, "M_NOT_FOUND".to_owned()));
    }
    edge.run(backup::read(&edge, &alice(), Some("1"))).unwrap();
}
