//! Backups of room keys: the better key stays, and number and etag follow exactly.

use std::collections::BTreeMap;

use serde_json::json;
use tern_model::RawJson;
use tern_ports::{
    Sql,
    wire::backup::{
        BackupKey, BackupState, BackupStored, CreateBackup, DeleteBackup, DeleteBackupKeys, DropBackups, KeyRange,
        ReadBackup, ReadBackupKeys, StoreBackupKeys, UpdateBackup,
    },
};
use tern_storage::{
    Database,
    commands::backup::{MOST_BACKUPS, QUOTA},
};
use tern_testkit::SeededEntropy;

use crate::support::{Worker, user};

const LAST: &str = "\u{10FFFF}";

fn data(value: &serde_json::Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

fn create(worker: &Worker) -> u64 {
    let auth_data = data(&json!({ "public_key": "k" }));
    worker.ask(CreateBackup { user_id: user("alice"), algorithm: "a".to_owned(), auth_data })
}

fn key(room: &str, session: &str, (index, forwarded, verified): (u64, u64, bool)) -> BackupKey {
    BackupKey {
        room_id: room.to_owned(),
        session_id: session.to_owned(),
        first_message_index: index,
        forwarded_count: forwarded,
        is_verified: verified,
        session_data: data(&json!({ "ciphertext": format!("{index} {forwarded} {verified}") })),
    }
}

fn store(worker: &Worker, version: u64, keys: &[BackupKey]) -> BackupStored {
    worker.ask(StoreBackupKeys { user_id: user("alice"), version, keys: keys.to_vec() })
}

fn state(worker: &Worker, version: u64) -> BackupState {
    worker.ask(ReadBackup { user_id: user("alice"), version: Some(version) }).unwrap().state
}

fn range(from: (&str, &str), until: (&str, &str)) -> KeyRange {
    let pair = |(room, session): (&str, &str)| (room.to_owned(), session.to_owned());
    KeyRange { from: pair(from), until: pair(until) }
}

fn read(worker: &Worker, version: u64, range: KeyRange, limit: u64) -> Option<Vec<BackupKey>> {
    worker.ask(ReadBackupKeys { user_id: user("alice"), version, range, limit, most_bytes: 1 << 20 })
}

#[test]
fn of_two_keys_the_better_one_stays() {
    let worker = Worker::new();
    let qualities: Vec<_> = (0..8_u64).map(|bits| (bits & 1, bits >> 1 & 1, bits >> 2 & 1 == 1)).collect();
    for old in &qualities {
        for new in &qualities {
            let version = create(&worker);
            store(&worker, version, &[key("!r", "s", *old)]);
            let before = state(&worker, version);
            store(&worker, version, &[key("!r", "s", *new)]);
            let rank = |(index, forwarded, verified): (u64, u64, bool)| (!verified, index, forwarded);
            let better = rank(*new) < rank(*old);
            let kept = read(&worker, version, range(("", ""), (LAST, "")), 10).unwrap();
            assert_eq!(kept, [key("!r", "s", if better { *new } else { *old })], "{old:?} then {new:?}");
            let after = state(&worker, version);
            assert_eq!((after.count, after.etag > before.etag), (1, better), "{old:?} then {new:?}");
        }
    }
}

#[test]
fn all_backups_of_a_user_together_take_so_much_and_there_are_so_many() {
    let worker = Worker::new();
    let (first, version) = (create(&worker), create(&worker));
    let bytes = |version: u64| {
        let sql = format!("SELECT bytes FROM backups WHERE version = {version}");
        worker.node.d1.database(Database::Global).query(&sql, &[]).unwrap()[0].int(0).unwrap()
    };
    let long = |session: &str, length: usize| {
        let session_data = data(&json!({ "c": "x".repeat(length) }));
        BackupKey { session_data, ..key("!r", session, (9, 0, false)) }
    };
    store(&worker, version, &[long("a", 1_000), long("b", 10)]);
    let each = 100 + data(&json!({ "c": "" })).text().len() as u64;
    assert_eq!(bytes(version), 1_010 + 2 * each);
    let better = BackupKey { first_message_index: 1, ..long("a", 500) };
    store(&worker, version, std::slice::from_ref(&better));
    store(&worker, version, &[long("a", 9_000)]);
    assert_eq!(
        bytes(version),
        510 + 2 * each,
        "a key that is replaced counts no more, one that is not kept not at all"
    );
    let one = range(("!r", "b"), ("!r", "b\u{1}"));
    worker.ask(DeleteBackupKeys { user_id: user("alice"), version, range: one });
    assert_eq!(bytes(version), 500 + each);

    let fill = |version: u64, bytes: u64| {
        let sql = format!("UPDATE backups SET bytes = {bytes} WHERE version = {version}");
        worker.node.d1.database(Database::Global).query(&sql, &[]).unwrap();
    };
    fill(first, QUOTA);
    assert_eq!(store(&worker, version, &[long("c", 10)]), BackupStored::Full);
    assert_eq!((state(&worker, version).count, bytes(version)), (1, 500 + each), "nothing was stored");
    worker.ask(DeleteBackup { user_id: user("alice"), version: first });
    assert!(matches!(store(&worker, version, &[long("c", 10)]), BackupStored::Stored(now) if now.count == 2));

    for _ in 1..MOST_BACKUPS {
        create(&worker);
    }
    let ask = CreateBackup { user_id: user("alice"), algorithm: "a".to_owned(), auth_data: data(&json!({})) };
    assert_eq!(worker.try_ask(ask).unwrap_err().errcode, "M_TOO_LARGE");
}

#[test]
fn only_the_current_version_is_written_to() {
    let worker = Worker::new();
    assert_eq!(store(&worker, 1, &[]), BackupStored::OtherVersion(None));
    let (first, second) = (create(&worker), create(&worker));
    let keys = [key("!r", "s", (0, 0, false))];
    assert_eq!(store(&worker, first, &keys), BackupStored::OtherVersion(Some(second)));
    assert_eq!(state(&worker, first), BackupState::default());
    assert_eq!(store(&worker, second, &keys), BackupStored::Stored(BackupState { etag: 1, count: 1 }));
    assert!(worker.ask(DeleteBackup { user_id: user("alice"), version: second }));
    assert!(!worker.ask(DeleteBackup { user_id: user("alice"), version: second }));
    assert_eq!(read(&worker, second, range(("", ""), (LAST, "")), 1), None);
    assert_eq!(worker.ask(ReadBackup { user_id: user("alice"), version: None }).unwrap().version, first);
    assert_eq!(create(&worker), second + 1, "a version is not given out again");
    let auth_data = data(&json!({ "public_key": "other" }));
    let update = |algorithm: &str| UpdateBackup {
        user_id: user("alice"),
        version: first,
        algorithm: algorithm.to_owned(),
        auth_data: auth_data.clone(),
    };
    assert!(!worker.ask(update("b")));
    assert!(worker.ask(update("a")));
    assert_eq!(worker.ask(ReadBackup { user_id: user("alice"), version: Some(first) }).unwrap().auth_data, auth_data);
    assert_eq!(worker.ask(ReadBackup { user_id: user("bob"), version: Some(first) }), None);
}

/// Random stores and deletions against a map, with repeats as after lost answers.
#[test]
fn count_and_etag_are_exact() {
    for seed in 0..40 {
        let (worker, draw) = (Worker::new(), SeededEntropy::new(seed));
        let version = create(&worker);
        let mut model: BTreeMap<(String, String), BackupKey> = BTreeMap::new();
        for _ in 0..30 {
            let before = state(&worker, version);
            let then = model.clone();
            let room = format!("!{}", draw.below(3));
            if draw.below(5) == 0 {
                let range = range((&room, ""), (&room, LAST));
                model.retain(|(of, _), _| *of != room);
                worker.ask(DeleteBackupKeys { user_id: user("alice"), version, range }).unwrap();
            } else {
                let mut keys = BTreeMap::new();
                for _ in 0..draw.below(6) {
                    let quality = (draw.below(3) as u64, draw.below(2) as u64, draw.below(2) == 0);
                    let key = key(&room, &format!("s{}", draw.below(8)), quality);
                    keys.insert(key.session_id.clone(), key);
                }
                let keys: Vec<_> = keys.into_values().collect();
                for key in &keys {
                    let place = (key.room_id.clone(), key.session_id.clone());
                    let rank = |key: &BackupKey| (!key.is_verified, key.first_message_index, key.forwarded_count);
                    if model.get(&place).is_none_or(|old| rank(key) < rank(old)) {
                        model.insert(place, key.clone());
                    }
                }
                store(&worker, version, &keys);
                let once = state(&worker, version);
                store(&worker, version, &keys);
                assert_eq!(state(&worker, version), once, "a repeat changes nothing");
            }
            let after = state(&worker, version);
            assert_eq!(after.count, model.len() as u64, "seed {seed}");
            assert_eq!(after.etag != before.etag, model != then, "seed {seed}");
            let all = read(&worker, version, range(("", ""), (LAST, "")), 1_000).unwrap();
            assert_eq!(all, model.values().cloned().collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[test]
fn a_large_upload_is_one_batch_and_one_row_per_key() {
    let worker = Worker::new();
    let version = create(&worker);
    let keys: Vec<_> = (0..3_000)
        .map(|n| {
            let mut key = key("!room", &format!("session {n}"), (0, 0, true));
            key.session_data = data(&json!({ "ciphertext": "c".repeat(800), "ephemeral": "\"\\" }));
            key
        })
        .collect();
    worker.node.d1.take_batches();
    assert_eq!(store(&worker, version, &keys), BackupStored::Stored(BackupState { etag: 4, count: 3_000 }));
    assert_eq!(worker.node.d1.take_batches().len(), 1);
    let mut from = ("!room".to_owned(), String::new());
    let mut seen = 0;
    loop {
        let page = KeyRange { from: from.clone(), until: ("!room".to_owned(), LAST.to_owned()) };
        let page = read(&worker, version, page, 700).unwrap();
        let Some(last) = page.last() else { break };
        from = (last.room_id.clone(), format!("{}\u{1}", last.session_id));
        seen += page.len();
    }
    assert_eq!(seen, 3_000);
}

#[test]
fn a_page_ends_when_it_has_bytes_enough() {
    let worker = Worker::new();
    let version = create(&worker);
    let keys: Vec<_> = (0..10)
        .map(|n| {
            let mut key = key("!room", &format!("s{n}"), (0, 0, true));
            key.session_data = data(&json!({ "ciphertext": "ü".repeat(500) }));
            key
        })
        .collect();
    store(&worker, version, &keys);
    let page = |most_bytes, limit| {
        let range = range(("", ""), (LAST, ""));
        let keys = worker.ask(ReadBackupKeys { user_id: user("alice"), version, range, limit, most_bytes });
        keys.unwrap().len()
    };
    assert_eq!([page(1, 10), page(1_018, 10), page(1_019, 10), page(1 << 20, 10), page(1 << 20, 4)], [1, 2, 2, 10, 4]);
}

#[test]
fn backups_of_somebody_who_is_gone_are_gone() {
    let worker = Worker::new();
    let versions = [create(&worker), create(&worker)];
    store(&worker, versions[1], &[key("!r", "s", (0, 0, true))]);
    worker.ask(DropBackups { user_id: user("bob") });
    assert_eq!(state(&worker, versions[1]).count, 1);
    worker.ask(DropBackups { user_id: user("alice") });
    for version in versions {
        assert_eq!(worker.ask(ReadBackup { user_id: user("alice"), version: Some(version) }), None);
        assert_eq!(read(&worker, version, range(("", ""), (LAST, "")), 1), None);
    }
    assert_eq!(worker.node.d1.database(Database::Global).find_text("\"ciphertext\""), [""; 0]);
}

/// Runs every command of this file once.
pub(crate) fn touch(worker: &Worker) {
    let version = create(worker);
    store(worker, version, &[key("!r", "s", (0, 0, true))]);
    read(worker, version, range(("", ""), (LAST, "")), 1);
    state(worker, version);
    worker.ask(DeleteBackupKeys { user_id: user("alice"), version, range: range(("", ""), (LAST, "")) });
    let auth_data = data(&json!({}));
    worker.ask(UpdateBackup { user_id: user("alice"), version, algorithm: "a".to_owned(), auth_data });
    worker.ask(DeleteBackup { user_id: user("alice"), version });
    worker.ask(DropBackups { user_id: user("alice") });
}
