//! What the commands cost: batches, statements, rows written, and no scan of a big table.

use tern_ports::{Sql, wire::storage::SyncRooms};
use tern_storage::Database;

use crate::support::{Worker, journal, member, message, newest, redaction, room};

/// Batches on GLOBAL, batches on shards, and the statements of the longest.
fn batches(worker: &Worker) -> (usize, usize, usize) {
    let batches = worker.node.d1.take_batches();
    let global = batches.iter().filter(|(database, _)| *database == Database::Global).count();
    let longest = batches.iter().map(|(_, statements)| statements.len()).max();
    (global, batches.len() - global, longest.unwrap_or(0))
}

#[test]
fn an_append_is_one_batch_and_few_rows() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 5));
    assert_eq!(batches(&worker), (1, 1, 5));
    let rows = |events: &[_]| {
        let before = worker.node.d1.rows_written();
        worker.append(&id, events);
        worker.node.d1.rows_written() - before
    };
    // The event, the entry of its id, and its words.
    assert_eq!(rows(&[message(&id, 6, "alice")]), 3);
    assert_eq!(batches(&worker), (0, 1, 3));
    assert_eq!(rows(&[member(&id, 7, "carol", "join")]), 3);
    // The redaction with its entry, what it redacts, and the words that go.
    assert_eq!(rows(&[redaction(&id, 8, 6)]), 4);
    assert_eq!(rows(&[redaction(&id, 8, 6)]), 0);
}

#[test]
fn an_event_that_relates_to_none_has_one_index_row() {
    let worker = Worker::new();
    let sql = "SELECT count(*) FROM pragma_index_list(?1) WHERE NOT partial";
    let indexes = |table: &str| {
        let shard = worker.node.d1.database(Database::Shard(0));
        shard.query(sql, &[table.into()]).unwrap()[0].int(0)
    };
    assert_eq!((indexes("events"), indexes("rooms")), (Some(1), Some(1)));
}

#[test]
fn five_hundred_rooms_take_as_many_statements_as_one() {
    let worker = Worker::new();
    let rooms: Vec<_> = (0..500).map(|index| room(&format!("r{index}"))).collect();
    for id in &rooms {
        worker.append(id, &journal(id, 6));
    }
    worker.node.d1.take_batches();
    let fresh = Worker::on(worker.node.restarted());
    let ask = |count: usize| {
        let state = vec![("m.room.member".to_owned(), "*".to_owned()), ("*".to_owned(), String::new())];
        let ask = |id: &ruma::OwnedRoomId| tern_ports::wire::sync::SyncAsk {
            state: state.clone(),
            lazy: true,
            ..newest(id, 1)
        };
        let answer = fresh.ask(SyncRooms { rooms: rooms.iter().take(count).map(ask).collect() });
        assert!(answer.iter().all(|room| room.through.0 == 6 && room.timeline.len() == 1 && room.state.len() == 4));
        batches(&fresh)
    };
    assert_eq!(ask(500), (1, 4, 4), "one read of the shard map, one batch a shard");
    assert_eq!(ask(500), (0, 4, 4));
    assert_eq!(ask(1), (0, 1, 4));
    assert_eq!(fresh.ask(SyncRooms { rooms: Vec::new() }).len(), 0);
    assert_eq!(batches(&fresh), (0, 0, 0));
}

#[test]
fn no_statement_scans_a_table() {
    let (worker, id) = (Worker::new(), room("a"));
    worker.append(&id, &journal(&id, 9));
    worker.append(&id, &[redaction(&id, 10, 6), member(&id, 11, "carol", "join")]);
    let mut every = newest(&id, 5);
    every.state = vec![("*".to_owned(), "*".to_owned())];
    worker.sync_one(every);
    crate::timeline::touch(&worker, &id);
    crate::rooms::touch(&worker, &id);
    crate::users::touch(&worker);
    crate::media::touch(&worker);
    crate::backup::touch(&worker);
    crate::search::touch(&worker);
    crate::public_keys::touch(&worker);
    for (database, statements) in worker.node.d1.take_batches() {
        for statement in statements {
            let plan = worker.node.d1.database(database).plan(statement.sql).unwrap();
            for table in [
                "placements",
                "aliases",
                "directory",
                "users",
                "media",
                "blobs",
                "rooms",
                "events",
                "state_deltas",
                "backups",
                "backup_sessions",
                "public_keys",
            ] {
                let alias = ["", "e", "d", "p", "r", "b", "k", "u", "kept"];
                let scans = |step: &String| {
                    let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
                    scanned.is_some_and(|name| name == table || alias[1..].contains(&name))
                        && !step.contains("VIRTUAL TABLE")
                };
                assert!(!plan.iter().any(scans), "{}\n{plan:#?}", statement.sql);
            }
        }
    }
}
