//! Objects filled by the simulator, out of one cluster and into another.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tern_model::{BoundedJson, MatrixError, RawJson};
use tern_object_kit::{
    backup::{self, Class, EXPORT, RESTORE},
    schema::Schema,
};
use tern_ports::{
    Row, Sql, Target, ask_storage,
    wire::{archive::Archive, frame, room::MembershipAction},
};
use tern_testkit::{Client, Sqlite, World};

const USER: Class = Class { schema: &tern_user_hub::SCHEMA, restored: tern_user_hub::RESTORED };
const ROOM: Class = Class { schema: &tern_room_hub::SCHEMA, restored: tern_room_hub::RESTORED };

fn ask(sql: &Sqlite, class: Class, version: &str, kind: &[u8], body: &Value) -> Result<Value, MatrixError> {
    let bytes = [kind, body.to_string().as_bytes()].concat();
    let answered = backup::answer(sql, Some(class), || version.to_owned(), &bytes).unwrap();
    frame::read_reply(&answered.reply)
}

fn export(sql: &Sqlite, class: Class) -> Vec<Value> {
    let mut pages = vec![ask(sql, class, "v", EXPORT, &json!({})).unwrap()];
    while let Some(next) = pages.last().filter(|page| page["next"].is_object()).map(|page| page["next"].clone()) {
        let body = json!({ "version": "v", "table": next["table"], "offset": next["offset"] });
        pages.push(ask(sql, class, "v", EXPORT, &body).unwrap());
    }
    pages
}

fn fill(sql: &Sqlite, class: Class, id: &str, number: usize, page: &Value) -> Result<Value, MatrixError> {
    let body = json!({ "id": id, "number": number, "page": page, "schema": page["schema"] });
    ask(sql, class, "", RESTORE, &body)
}

fn finish(sql: &Sqlite, class: Class, id: &str, pages: &[Value]) -> Result<Value, MatrixError> {
    let body = json!({ "id": id, "number": pages.len(), "schema": pages[0]["schema"] });
    ask(sql, class, "", RESTORE, &body)
}

fn wake(sql: &Sqlite, class: Class, id: &str) -> Result<Value, MatrixError> {
    ask(sql, class, "", RESTORE, &json!({ "id": id, "number": 0, "wake": true }))
}

/// All pages are there, and the object sleeps.
fn bring(sql: &Sqlite, class: Class, pages: &[Value]) {
    for (number, page) in pages.iter().enumerate() {
        fill(sql, class, "r", number, page).unwrap();
    }
    finish(sql, class, "r", pages).unwrap();
}

fn restore(sql: &Sqlite, class: Class, pages: &[Value]) {
    bring(sql, class, pages);
    wake(sql, class, "r").unwrap();
}

/// Every row of every table, and what the tables are made by.
fn content(sql: &Sqlite) -> BTreeMap<String, Vec<Row>> {
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'restored%'";
    let rows = |name: String| (name.clone(), sql.query(&format!("SELECT * FROM {name}"), &[]).unwrap());
    sql.query(names, &[]).unwrap().iter().map(|row| rows(row.string(0).unwrap())).collect()
}

/// Without what is different in a restored object on purpose.
const fn exact(class: Class) -> Class {
    Class { restored: &[], ..class }
}

struct Scene {
    world: World,
    alice: Client,
    bob: Client,
    room_id: ruma::OwnedRoomId,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(7);
        let [alice, bob] = ["alice", "bob"].map(|name| world.sign_in(name));
        let room_id = world.run(alice.create_public_room()).unwrap();
        world.run(bob.change_membership(&room_id, MembershipAction::Join));
        let scene = Self { world, alice, bob, room_id };
        scene.say("first", 40);
        scene
    }

    fn say(&self, txn: &str, count: usize) {
        for number in 0..count {
            let text = format!("\u{1F600} \"{number}\" {}", "x".repeat(number * 500));
            self.world.run(self.alice.send(&self.room_id, &format!("{txn}{number}"), &text));
        }
        self.world.pass(60_000);
    }

    fn users(&self) -> [Target; 2] {
        [&self.alice, &self.bob].map(|client| Target::User(client.user_id.clone()))
    }

    fn room(&self) -> Target {
        Target::Room(self.room_id.clone())
    }

    fn export(&self, target: &Target, class: Class) -> Vec<Value> {
        self.world.database(target, |sql| export(sql, class))
    }
}

#[test]
fn what_is_exported_comes_back_to_the_last_bit_cut_wherever() {
    let scene = Scene::new();
    for (target, class) in scene.users().map(|user| (user, USER)).into_iter().chain([(scene.room(), ROOM)]) {
        let (pages, before) = (scene.export(&target, class), scene.world.database(&target, content));
        assert!(before.values().filter(|rows| !rows.is_empty()).count() > 3, "{target:?}: {:?}", before.keys());
        for cut in 0..=pages.len() {
            let sql = Sqlite::memory().planning();
            for (number, page) in pages.iter().enumerate().take(cut) {
                fill(&sql, exact(class), "r", number, page).unwrap();
                // Its reply was lost.
                let next = fill(&sql, exact(class), "r", number, page).unwrap();
                assert_eq!(next, json!({ "next": number + 1 }));
            }
            assert!(!class.schema.renew(&sql).unwrap(), "{target:?}: nothing is seen before all is there");
            if cut < pages.len() {
                finish(&sql, exact(class), "r", &pages).unwrap_err();
            }
            sql.make_durable();
            sql.crash();
            restore(&sql, exact(class), &pages);
            assert_eq!(content(&sql), before, "{target:?} cut at {cut}");
            // A reply was lost.
            restore(&sql, exact(class), &pages);
            assert_eq!(content(&sql), before);
            assert_eq!(finish(&sql, class, "another", &pages).unwrap_err().errcode, "TERN_NOT_EMPTY");
        }
        let there = scene.world.database(&target, |sql| fill(sql, class, "r", 0, &pages[0]).unwrap_err());
        assert_eq!((there.status, &*there.errcode), (409, "TERN_NOT_EMPTY"));
    }
}

/// Values of every kind, and more of them than a page has.
const KINDS: Schema = Schema {
    steps: &[
        &[
            "CREATE TABLE kinds (id INTEGER PRIMARY KEY, t TEXT, b BLOB, r REAL, n INTEGER, g TEXT AS (t || 'x')) STRICT",
            tern_object_kit::schema::NUMBER,
        ],
        &["ALTER TABLE kinds ADD COLUMN later INTEGER NOT NULL DEFAULT 5"],
    ],
    read: tern_object_kit::schema::READ_NUMBER,
    write: tern_object_kit::schema::WRITE_NUMBER,
    signs: &[],
};
const OLDER: Schema = Schema { steps: KINDS.steps.split_at(1).0, ..KINDS };

#[test]
fn values_pages_and_schemas_hold() {
    static OLD: Schema = OLDER;
    static NEW: Schema = KINDS;
    let (old, new) = (Class { schema: &OLD, restored: &[] }, Class { schema: &NEW, restored: &[] });
    let sql = Sqlite::memory();
    assert_eq!(ask(&sql, old, "1", EXPORT, &json!({})).unwrap(), json!({ "absent": true }));
    assert!(content(&sql).is_empty(), "reading makes nothing");
    OLD.create(&sql).unwrap();
    let mut filled = vec![
        vec![
            1_u64.into(),
            "\0 null \u{1}".into(),
            vec![0_u8, 255].into(),
            tern_ports::Value::Real(0.1),
            (-3_i64).into(),
        ],
        vec![2_u64.into(), "".into(), Vec::<u8>::new().into(), tern_ports::Value::Real(-2.0), (1_u64 << 53).into()],
        vec![3_u64.into(), None::<&str>.into(), None::<&str>.into(), None::<&str>.into(), None::<&str>.into()],
    ];
    // Quotes take twice their place in JSON.
    let long =
        |id: u64| vec![id.into(), "\"".repeat(600_000).into(), None::<&str>.into(), None::<&str>.into(), id.into()];
    filled.extend((4..9).map(long));
    for row in filled {
        sql.query("INSERT INTO kinds (id, t, b, r, n) VALUES (?, ?, ?, ?, ?)", &row).unwrap();
    }
    let pages = export(&sql, old);
    assert!(pages.len() >= 3, "{} pages", pages.len());
    assert!(pages.iter().all(|page| page.to_string().len() < 4_000_000));

    let copy = Sqlite::memory();
    restore(&copy, old, &pages);
    assert_eq!(content(&copy), content(&sql));
    let types = "SELECT typeof(t), typeof(b), typeof(r), typeof(n), hex(t), g FROM kinds WHERE id < 4 ORDER BY id";
    assert_eq!(copy.query(types, &[]).unwrap(), sql.query(types, &[]).unwrap());

    // An older backup takes the later steps; a newer one is refused and leaves nothing.
    let later = Sqlite::memory();
    restore(&later, new, &pages);
    assert_eq!(NEW.taken(&later).unwrap(), 2);
    assert_eq!(later.query("SELECT sum(later) FROM kinds", &[]).unwrap()[0].int(0), Some(40));
    let (newer, refusing) = (export(&later, new), Sqlite::memory());
    assert_eq!(fill(&refusing, old, "r", 0, &newer[0]).unwrap_err().errcode, "TERN_NEWER_SCHEMA");
    assert_eq!(finish(&refusing, old, "r", &newer).unwrap_err().errcode, "TERN_NEWER_SCHEMA");
    assert!(content(&refusing).is_empty());

    // Names in a page are looked up, never run.
    let evil =
        json!({ "schema": 1, "tables": [{ "name": "kinds; DROP TABLE kinds", "columns": ["id"], "rows": [[1]] }] });
    assert_eq!(fill(&refusing, old, "s", 0, &evil).unwrap_err().status, 400);
    assert!(content(&refusing).is_empty());

    // What a restore left half-done goes before another one, and before the class makes its own.
    let refusing = Sqlite::memory().planning();
    fill(&refusing, old, "given up", 0, &pages[0]).unwrap();
    assert_eq!(fill(&refusing, old, "given up", 2, &pages[2]).unwrap(), json!({ "next": 1 }), "in their order");
    assert!(!OLD.renew(&refusing).unwrap());
    restore(&refusing, old, &pages);
    assert_eq!(content(&refusing), content(&sql));
    let left = Sqlite::memory();
    fill(&left, old, "given up", 0, &pages[0]).unwrap();
    NEW.create(&left).unwrap();
    assert_eq!(left.query("SELECT * FROM kinds", &[]).unwrap(), []);
    assert_eq!(finish(&left, new, "given up", &pages).unwrap_err().errcode, "TERN_NOT_EMPTY");
}

#[test]
fn a_restored_object_sleeps_until_it_is_woken_and_is_never_replaced() {
    let scene = Scene::new();
    for (target, class) in scene.users().map(|user| (user, USER)).into_iter().chain([(scene.room(), ROOM)]) {
        let (pages, before) = (scene.export(&target, class), scene.world.database(&target, content));
        let sql = Sqlite::memory().planning();
        let missing = |id: &str| wake(&sql, exact(class), id).unwrap_err().status;
        assert_eq!(missing("r"), 404, "there is nothing");
        fill(&sql, exact(class), "r", 0, &pages[0]).unwrap();
        assert_eq!(missing("r"), 404, "it is not whole");
        bring(&sql, exact(class), &pages);
        let asleep = content(&sql);
        for _ in 0..2 {
            assert_eq!(class.schema.taken(&sql).unwrap(), 0, "{target:?}: no step counts");
            class.schema.renew(&sql).unwrap_err();
            class.schema.create(&sql).unwrap_err();
            sql.transaction(|| class.schema.create_within(&sql)).unwrap_err();
            bring(&sql, exact(class), &pages);
            assert_eq!(content(&sql), asleep);
        }
        assert_eq!(missing("another"), 404);
        for _ in 0..2 {
            wake(&sql, exact(class), "r").unwrap();
            assert!(class.schema.renew(&sql).unwrap());
            sql.transaction(|| class.schema.create_within(&sql)).unwrap_err();
            assert_eq!(content(&sql), before, "{target:?}");
        }
    }
}

/// A hub that was asked for the room before there was one does not go on believing it.
#[test]
fn a_room_that_was_asked_for_in_vain_is_there_once_it_is_woken() {
    let scene = Scene::new();
    let (pages, room) = (scene.export(&scene.room(), ROOM), scene.room());
    let world = World::new(8);
    assert_eq!(world.probe_room(&scene.room_id).newest.0, 0);
    world.database(&room, |sql| restore(sql, ROOM, &pages));
    assert_eq!(world.probe_room(&scene.room_id).newest, scene.world.probe_room(&scene.room_id).newest);
}

#[test]
fn an_object_that_moves_between_pages_starts_over() {
    let scene = Scene::new();
    let target = scene.room();
    let read = |version: &str, body: Value| {
        scene.world.database(&target, |sql| ask(sql, ROOM, version, EXPORT, &body)).unwrap()
    };
    assert_eq!(read("7", json!({}))["version"], "7");
    assert_eq!(read("7", json!({ "version": "7" })), json!({ "unchanged": true }));
    assert!(read("8", json!({ "version": "7" }))["tables"].is_array());
    let later = json!({ "version": "7", "table": "events", "offset": 3 });
    assert_eq!(read("8", later.clone()), json!({ "changed": true }));
    assert_eq!(read("7", later)["tables"][0]["rows"][0][0], 4);
    for (class, body) in [(None, b"backup\n{}".as_slice()), (Some(ROOM), b"restore\nno"), (Some(ROOM), b"backup\n7")] {
        let refused = backup::answer(&Sqlite::memory(), class, String::new, body).unwrap();
        assert!(frame::read_reply::<Value>(&refused.reply).unwrap_err().status < 500);
    }
    assert!(backup::answer(&Sqlite::memory(), Some(ROOM), String::new, b"1\n{}").is_none());
}

fn archive(world: &World, writes: bool, question: &Value) -> Value {
    let question = BoundedJson::new(RawJson::from_value(question).unwrap()).unwrap();
    world.run(ask_storage(world, Archive { question, writes })).unwrap().read().unwrap()
}

/// All tables of all databases of one cluster, into another.
fn copy_databases(from: &World, to: &World) {
    for database in archive(from, false, &json!({ "list": {} }))["databases"].as_array().unwrap() {
        for table in database["tables"].as_array().unwrap().iter().rev() {
            let mut after = Value::Null;
            loop {
                let ask = json!({ "rows": { "database": database["name"], "table": table, "after": after } });
                let page = archive(from, false, &ask);
                if page["next"].is_null() {
                    break;
                }
                let write = json!({ "write": {
                    "restore": "r", "database": database["name"], "table": table, "rows": page["rows"] } });
                archive(to, true, &write);
                after = page["next"].clone();
            }
        }
    }
}

/// A backup is made while people write: users are read first, then rooms, then the databases, and in between everybody goes
/// on. What comes of it agrees with itself: no event is missed or doubled, and everything goes on from the room's newest.
#[test]
fn a_backup_made_while_people_write_goes_on() {
    let scene = Scene::new();
    let mut reader = scene.bob.reader(&scene.room_id, 50);
    assert!(scene.world.run(reader.sync(0)));
    let users = scene.users().map(|user| (scene.export(&user, USER), user));
    scene.say("second", 5);
    let room = scene.export(&scene.room(), ROOM);
    let head =
        room.iter().flat_map(|page| page["tables"].as_array().unwrap()).find(|part| part["name"] == "head").unwrap();
    let of_head = |name: &str| {
        let at = head["columns"].as_array().unwrap().iter().position(|column| column == name).unwrap();
        head["rows"][0][at].as_u64().unwrap()
    };
    let (newest, stored) = (of_head("newest"), of_head("forwarded"));
    scene.say("third", 5);

    let world = World::new(8);
    archive(&world, true, &json!({ "begin": { "restore": "r" } }));
    for (pages, target) in &users {
        world.database(target, |sql| restore(sql, USER, pages));
    }
    world.database(&scene.room(), |sql| restore(sql, ROOM, &room));
    copy_databases(&scene.world, &world);
    archive(&world, true, &json!({ "trim": { "restore": "r", "rooms": [[scene.room_id, stored]] } }));
    archive(&world, true, &json!({ "end": { "restore": "r" } }));

    let alice = scene.alice.moved(&world);
    let mut reader = reader.moved(&world);
    // Nobody says anything: what Bob's hub missed comes by itself.
    world.probe_room(&scene.room_id);
    world.pass(60_000);
    assert!(world.run(reader.sync(0)));
    assert!(world.run(reader.sync(0)));
    let told = reader.seen.len();
    let event_id = world.run(alice.send(&scene.room_id, "after", "and on"));
    world.pass(60_000);
    assert!(world.run(reader.sync(0)));
    assert_eq!((reader.seen.last(), reader.seen.len()), (Some(&event_id), told + 1));
    let probe = world.probe_room(&scene.room_id);
    assert_eq!((probe.newest.0, probe.forwarded, probe.announced), (newest + 1, probe.newest, probe.newest));
    let order = world.run(alice.history(&scene.room_id, false, 10));
    assert_eq!(order.len() as u64, newest + 1);
    assert!(order.ends_with(&reader.seen[reader.seen.len() - 6..]), "the missed five and the new one are there");
}
