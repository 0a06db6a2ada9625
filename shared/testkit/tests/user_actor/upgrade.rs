//! What an earlier build left in a hub.

use serde_json::{Map, Value};
use tern_ports::{Row, Sql};
use tern_testkit::Sqlite;

use crate::{
    recent,
    support::{Hub, alice, bodies, everything, member, room},
};

/// Steps of the schema before rooms had a column of their own. A step that comes later has to be undone here as well.
const STEPS: u64 = 13;

/// The rooms that lines of this answer tell of, as they stood in JSON.
fn told(lines: &str, answer: u64) -> Value {
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let of = fields.next()?.parse::<u64>().ok()?;
        let room: String = serde_json::from_str(fields.next()?).ok()?;
        (of == answer).then(|| (room, serde_json::from_str(fields.next().unwrap()).unwrap()))
    };
    Value::Object(lines.lines().filter_map(line).collect::<Map<_, _>>())
}

/// Writes connections as the build with [`STEPS`] wrote them.
fn undo(sqlite: &Sqlite) {
    let text = |row: &Row, column: usize| row.string(column).unwrap();
    for row in sqlite.query("SELECT text, rooms, revision FROM connection", &[]).unwrap() {
        let (mut conn, lines) = (serde_json::from_str::<Value>(&text(&row, 0)).unwrap(), text(&row, 1));
        conn["told"]["rooms"] = told(&lines, 0);
        for branch in conn["branches"].as_array_mut().unwrap() {
            branch["told"]["rooms"] = told(&lines, branch["answer"]["to"].as_u64().unwrap());
        }
        sqlite.query("UPDATE connection SET text = ?", &[conn.to_string().as_str().into()]).unwrap();
    }
    for row in sqlite.query("SELECT text, number FROM connection_part", &[]).unwrap() {
        let part = told(&text(&row, 0), 0).to_string();
        let params = [part.as_str().into(), row.int(1).unwrap().into()];
        sqlite.query("UPDATE connection_part SET text = ? WHERE number = ?", &params).unwrap();
    }
    recent::undo(sqlite);
    sqlite.query("ALTER TABLE connection DROP COLUMN rooms", &[]).unwrap();
    sqlite.query("DROP TABLE sticky", &[]).unwrap();
    sqlite.query("ALTER TABLE hub DROP COLUMN sticky", &[]).unwrap();
    sqlite.query("ALTER TABLE device DROP COLUMN settled", &[]).unwrap();
    sqlite.query("DROP TABLE upgraded", &[]).unwrap();
    sqlite.query("ALTER TABLE to_device DROP COLUMN sender", &[]).unwrap();
    sqlite.query("DROP TABLE pusher", &[]).unwrap();
    for column in ["pushers", "push_from", "push_at"] {
        sqlite.query(&format!("ALTER TABLE hub DROP COLUMN {column}"), &[]).unwrap();
    }
    sqlite.query("ALTER TABLE room DROP COLUMN inbox_bytes", &[]).unwrap();
    sqlite.query("UPDATE hub SET version = ?", &[STEPS.into()]).unwrap();
}

#[test]
fn connections_of_an_earlier_build_go_on() {
    for rooms in [10, 100] {
        let hub = Hub::new();
        let session = hub.login("D");
        for number in 0..rooms {
            let name = format!("r{number}");
            hub.joins(&name);
            hub.storage.learn(&room(&name), &[member(1, alice(), "join")]);
        }
        let live = |hub: &Hub, pos: &Value| {
            let body = hub.sliding(&session, &everything(), pos.as_str(), true).unwrap().body();
            let told = body["rooms"].as_object().unwrap();
            assert_eq!(told.len(), 1, "with {rooms} rooms: {told:?}");
            let room = told.values().next().unwrap();
            assert!(room.get("initial").is_none(), "with {rooms} rooms it is known: {room}");
            (body["pos"].clone(), bodies(&room["timeline"]))
        };
        let first = hub.sliding(&session, &everything(), None, false).unwrap().body()["pos"].clone();
        hub.says("r1", 2, "before");
        let (second, _) = live(&hub, &first);
        hub.says("r2", 2, "unacknowledged");
        let (third, told) = live(&hub, &second);
        assert_eq!(told, ["unacknowledged"]);
        undo(&hub.host.sqlite);
        let hub = hub.slept();
        assert_eq!(live(&hub, &second), (third.clone(), told), "the answer that may have been lost is repeated");
        let mut pos = third;
        for (room, seq, said) in [("r1", 3, "told before"), ("r2", 3, "told last"), ("r9", 2, "told at first")] {
            hub.says(room, seq, said);
            let (next, told) = live(&hub, &pos);
            assert_eq!(told, [said], "with {rooms} rooms");
            pos = next;
        }
    }
}
