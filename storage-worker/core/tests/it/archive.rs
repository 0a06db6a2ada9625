//! Databases and bucket, out of one server and into another.

use futures::stream;
use serde_json::{Value, json};
use tern_model::{BoundedJson, MatrixError, Millis, RawJson};
use tern_ports::{
    Sql,
    wire::{
        archive::{Archive, PassObject},
        storage::CreateUser,
    },
};
use tern_storage::{Database, commands::archive::tables::tables};
use tern_testkit::Executor;

use crate::{
    media::Scene,
    support::{Worker, event, journal, redaction, room, user},
};

/// Tables that a backup does not have: copies, what concerns one bucket, and what D1 keeps.
const LEFT_OUT: [&str; 4] = ["public_keys", "graves", "levels", "restore"];

fn ask(worker: &Worker, writes: bool, question: &Value) -> Result<Value, MatrixError> {
    let question = BoundedJson::new(RawJson::from_value(question).unwrap()).unwrap();
    worker.try_ask(Archive { question, writes }).map(|answer| answer.read().unwrap())
}

fn code(answer: Result<Value, MatrixError>) -> String {
    answer.unwrap_err().errcode.into_owned()
}

fn create(worker: &Worker, name: &str) {
    worker.ask(CreateUser {
        user_id: user(name),
        password_hash: None,
        admin: false,
        ts: Millis(1),
        registration_token: None,
        identifiers: Vec::new(),
    });
}

#[test]
fn every_table_and_column_is_in_a_backup_or_left_out_by_name() {
    let worker = Worker::new();
    for database in [Database::Global, Database::Shard(0)] {
        let sqlite = worker.node.d1.database(database);
        let found =
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'";
        for row in sqlite.query(found, &[]).unwrap() {
            let name = row.string(0).unwrap();
            let columns = sqlite.query(&format!("SELECT name FROM pragma_table_info('{name}')"), &[]).unwrap();
            let mut columns: Vec<_> = columns.iter().map(|row| row.string(0).unwrap()).collect();
            let table = tables(database).iter().find(|table| table.name == name);
            let Some(table) = table else {
                assert!(LEFT_OUT.contains(&name.as_str()), "{name} is in no backup");
                continue;
            };
            let mut known = table.columns.to_vec();
            columns.sort();
            known.sort_unstable();
            assert_eq!(known, columns, "{name}");
        }
    }
}

/// Every row of a table, page by page.
fn pages(worker: &Worker, database: &str, table: &str) -> Vec<Value> {
    let (mut pages, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = ask(worker, false, &json!({ "rows": { "database": database, "table": table, "after": after } }));
        let mut page = page.unwrap();
        if page["next"].is_null() {
            return pages;
        }
        pages.push(page["rows"].take());
        after = page["next"].take();
    }
}

fn write(worker: &Worker, database: &str, table: &str, rows: &Value) -> Result<Value, MatrixError> {
    ask(worker, true, &json!({ "write": { "restore": "r", "database": database, "table": table, "rows": rows } }))
}

#[test]
fn databases_come_back_in_pages_and_only_into_a_server_without_users() {
    let (old, new) = (Worker::new(), Worker::new());
    create(&old, "alice");
    let [plain, sealed] = ["plain", "sealed"].map(room);
    let mut events = journal(&plain, 30);
    events.extend((31..60).map(|seq| {
        event(&plain, seq, "alice", "m.room.message", None, json!({ "body": "y".repeat(60_000), "n": seq }))
    }));
    old.append(&plain, &events);
    old.append(&plain, &[redaction(&plain, 60, 5)]);
    let mut events = journal(&sealed, 4);
    events.push(event(&sealed, 5, "alice", "m.room.encryption", Some(""), json!({ "algorithm": "m" })));
    events.push(event(&sealed, 6, "alice", "m.room.message", None, json!({ "body": "never indexed" })));
    old.append(&sealed, &events);

    let begin = |id: &str| ask(&new, true, &json!({ "begin": { "restore": id } }));
    assert_eq!(code(write(&new, "GLOBAL", "users", &json!([]))), "TERN_NOT_EMPTY", "nothing has begun");
    begin("given up").unwrap();
    begin("r").unwrap();
    assert_eq!(code(ask(&new, true, &json!({ "check": { "restore": "given up" } }))), "TERN_NOT_EMPTY");
    let list = ask(&new, false, &json!({ "list": {} })).unwrap();
    let mut most = 0;
    for database in list["databases"].as_array().unwrap() {
        let name = database["name"].as_str().unwrap();
        for table in database["tables"].as_array().unwrap().iter().map(|table| table.as_str().unwrap()) {
            let read = pages(&old, name, table);
            most = most.max(read.len());
            for rows in read {
                // A reply is lost each time.
                write(&new, name, table, &rows).unwrap();
                write(&new, name, table, &rows).unwrap();
            }
            assert_eq!(pages(&new, name, table), pages(&old, name, table), "{name} {table}");
        }
    }
    assert!(most > 1, "there were several pages");
    begin("r").expect("with its users there the restore still goes on");
    assert_eq!(code(begin("another")), "TERN_NOT_EMPTY");

    for shard in 0..4 {
        let words = |worker: &Worker, word: &str| {
            let count = format!("SELECT count(*) FROM search WHERE search MATCH '{word}'");
            worker.node.d1.database(Database::Shard(shard)).query(&count, &[]).unwrap()[0].int(0).unwrap()
        };
        for word in ["message", "never", "yyy*"] {
            assert_eq!(words(&new, word), words(&old, word), "{word} in shard {shard}");
        }
    }

    // The room's hub is where it was before the last messages.
    ask(&new, true, &json!({ "trim": { "restore": "r", "rooms": [[plain, 20], [sealed, 99]] } })).unwrap();
    let more = [event(&plain, 21, "alice", "m.room.message", None, json!({ "body": "another twentyfirst" }))];
    assert_eq!((new.append(&plain, &more), new.append(&sealed, &[])), (21, 6));
    // Rooms go on: nothing is written over what they store, however often the restore is run.
    let trim = || ask(&new, true, &json!({ "trim": { "restore": "r", "rooms": [[plain, 20]] } }));
    ask(&new, true, &json!({ "written": { "restore": "r" } })).unwrap();
    assert_eq!(begin("r").unwrap(), json!({ "written": true }));
    assert_eq!(
        (code(trim()), code(write(&new, "GLOBAL", "users", &json!([])))),
        ("TERN_WRITTEN".into(), "TERN_WRITTEN".into())
    );
    ask(&new, true, &json!({ "end": { "restore": "r" } })).unwrap();
    assert_eq!(code(write(&new, "GLOBAL", "users", &json!([]))), "TERN_NOT_EMPTY");
    assert_eq!(code(begin("r")), "TERN_NOT_EMPTY");
}

#[test]
fn of_two_runs_of_a_restore_the_later_one_goes_on() {
    let worker = Worker::new();
    let begin = |id: &str| ask(&worker, true, &json!({ "begin": { "restore": id } }));
    let check = |id: &str| ask(&worker, true, &json!({ "check": { "restore": id } }));
    assert_eq!(begin("r.1").unwrap(), json!({ "written": false }));
    create(&worker, "alice");
    begin("r.2").unwrap();
    assert_eq!(code(check("r.1")), "TERN_NOT_EMPTY");
    check("r.2").unwrap();
    for another in ["r", "r2.1", "x.1", ".1"] {
        assert_eq!(code(begin(another)), "TERN_NOT_EMPTY", "{another}");
    }
    check("r.2").unwrap();
}

#[test]
fn questions_are_what_they_may_be() {
    let worker = Worker::new();
    for (writes, question) in [
        (true, json!({ "list": {} })),
        (false, json!({ "begin": { "restore": "r" } })),
        (false, json!({ "drop": {} })),
        (false, json!([])),
    ] {
        assert_eq!(code(ask(&worker, writes, &question)), "M_BAD_JSON", "{question}");
    }
    let rows = |database: &str, table: &str| {
        code(ask(&worker, false, &json!({ "rows": { "database": database, "table": table } })))
    };
    assert_eq!((rows("GLOBAL", "restore"), rows("EV_99", "events")), ("M_NOT_FOUND".into(), "M_NOT_FOUND".into()));
    ask(&worker, true, &json!({ "begin": { "restore": "r" } })).unwrap();
    assert_eq!(code(write(&worker, "GLOBAL", "users", &json!([7]))), "M_BAD_JSON");
    let newer = json!([{ "server": "a.org", "since": 1 }, { "server": "b.org", "since": 1, "later": null }]);
    assert_eq!(code(write(&worker, "GLOBAL", "server_troubles", &newer)), "TERN_NEWER_SCHEMA");
    assert_eq!(pages(&worker, "GLOBAL", "server_troubles"), [] as [Value; 0]);
}

#[test]
fn objects_pass_by_their_keys() {
    let (old, new) = (Scene::new(), Scene::new());
    let bytes = vec![7; 6 << 20];
    let store = |scene: &Scene, restore: Option<&str>, content: Vec<u8>| {
        let ask = PassObject { object: "key".try_into().unwrap(), restore: restore.map(|id| id.try_into().unwrap()) };
        let body = stream::iter(content.chunks(1 << 20).map(|chunk| Ok(chunk.to_vec())).collect::<Vec<_>>());
        Executor::new().run(scene.media().pass(&ask, body))
    };
    assert_eq!(store(&new, None, Vec::new()).unwrap_err().status, 404);
    assert_eq!(store(&new, Some("r"), bytes.clone()).unwrap_err().status, 409);
    ask(&old.worker, true, &json!({ "begin": { "restore": "r" } })).unwrap();
    assert_eq!(store(&old, Some("r"), bytes.clone()).unwrap().0.size, 6 << 20);
    let (_, read) = store(&old, None, Vec::new()).unwrap();
    assert_eq!(read, Some(bytes));
}
