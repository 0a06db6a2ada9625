use ruma::OwnedServerName;
use tern_model::{BoundedVec, Millis, Name, RawJson};
use tern_ports::{
    Sql as _,
    wire::server_keys::{LoadKeyResponses, LoadServerKeys, StoreServerKeys, StoredServerKey},
};
use tern_storage::{
    Database,
    commands::server_keys::{KEPT_FOR, KEPT_SERVERS, MOST_SERVERS, expire},
};
use tern_testkit::Executor;

use crate::support::Worker;

fn server(name: &str) -> OwnedServerName {
    name.try_into().unwrap()
}

fn key(id: &str, key: &str, valid_until: u64) -> StoredServerKey {
    StoredServerKey { key_id: Name::cut(id), key: Name::cut(key), valid_until: Millis(valid_until), expired: false }
}

fn store(worker: &Worker, name: &str, keys: &[StoredServerKey], seen: u64) -> Vec<StoredServerKey> {
    let response = RawJson::parse(format!("{{\"seen\":{seen}}}")).unwrap();
    let keys = BoundedVec::new(keys.to_vec()).unwrap();
    worker.ask(StoreServerKeys { server: server(name), keys, response, seen: Millis(seen) })
}

fn load(worker: &Worker, name: &str) -> Vec<StoredServerKey> {
    worker.ask(LoadServerKeys { server: server(name) })
}

fn responses(worker: &Worker, names: &[&str]) -> Vec<String> {
    let servers = BoundedVec::new(names.iter().map(|name| server(name)).collect()).unwrap();
    let found = worker.ask(LoadKeyResponses { servers });
    found.into_iter().map(|found| format!("{} {}", found.server, found.response.text())).collect()
}

#[test]
fn what_a_server_says_later_counts() {
    let worker = Worker::new();
    assert_eq!(load(&worker, "a.org"), []);
    let (first, longer) = (key("ed25519:1", "k1", 100), key("ed25519:1", "k1", 200));
    assert_eq!(store(&worker, "a.org", std::slice::from_ref(&first), 1), std::slice::from_ref(&first));
    let old = StoredServerKey { expired: true, ..key("ed25519:0", "k0", 50) };
    assert_eq!(store(&worker, "a.org", &[longer.clone(), old.clone()], 3), [old.clone(), longer.clone()]);
    assert_eq!(store(&worker, "a.org", &[first], 2), [old.clone(), longer.clone()], "an answer that was overtaken");
    assert_eq!(load(&worker, "a.org"), [old, longer]);
    assert_eq!(load(&worker, "b.org"), []);
    assert_eq!(responses(&worker, &["a.org", "b.org"]), [r#"a.org {"seen":3}"#]);
}

#[test]
fn a_key_never_becomes_another_one_under_the_same_id() {
    let worker = Worker::new();
    let known = key("ed25519:1", "k1", 100);
    store(&worker, "a.org", std::slice::from_ref(&known), 1);
    assert_eq!(store(&worker, "a.org", &[key("ed25519:1", "other", 900)], 2), [known]);
}

#[test]
fn a_server_has_so_many_keys_and_no_more() {
    let worker = Worker::new();
    let ids = |from: usize| (from..from + 64).map(|at| key(&format!("ed25519:{at:04}"), "k", 1)).collect::<Vec<_>>();
    let stored = (0..6).map(|round| store(&worker, "a.org", &ids(round * 64), 1).len()).collect::<Vec<_>>();
    assert_eq!(stored, [64, 128, 192, 256, 256, 256]);
    // What is there is still renewed.
    let renewed = key("ed25519:0000", "k", 9);
    assert_eq!(store(&worker, "a.org", std::slice::from_ref(&renewed), 2).first(), Some(&renewed));
    assert_eq!(store(&worker, "b.org", &ids(0), 1).len(), 64);
}

/// So many servers that somebody made up, the later ones heard of later.
fn make_up(worker: &Worker, number: u64) {
    let database = worker.node.d1.database(Database::Global);
    let made_up = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)";
    let responses =
        format!("INSERT INTO server_key_responses {made_up} SELECT 's' || i || '.org', 1000 + i, '{{}}' FROM n");
    let keys = format!("INSERT INTO server_keys {made_up} SELECT 's' || i || '.org', 'ed25519:1', 'k', 1, 0, 1 FROM n");
    for sql in [responses, keys, "UPDATE server_key_figures SET servers = servers + ?1".to_owned()] {
        database.query(&sql, &[number.into()]).unwrap();
    }
}

fn servers(worker: &Worker) -> [u64; 3] {
    let database = worker.node.d1.database(Database::Global);
    ["count(*) FROM server_key_responses", "count(DISTINCT server) FROM server_keys", "servers FROM server_key_figures"]
        .map(|what| database.query(&format!("SELECT {what}"), &[]).unwrap()[0].int(0).unwrap())
}

#[test]
fn made_up_servers_are_kept_up_to_a_number_and_lock_nobody_out() {
    let worker = Worker::new();
    let key = [key("ed25519:1", "k1", 100)];
    assert_eq!(store(&worker, "known.org", &key, 1), key);
    make_up(&worker, MOST_SERVERS - 2);
    for name in ["last.org", "late.org", "later.org", "late.org"] {
        assert_eq!(store(&worker, name, &key, 20_000), key, "whoever is not kept is believed as well");
    }
    assert_eq!(servers(&worker), [MOST_SERVERS, MOST_SERVERS, MOST_SERVERS + 1]);
    assert_eq!((load(&worker, "last.org").len(), load(&worker, "late.org").len()), (1, 0));
    assert_eq!(responses(&worker, &["late.org"]), Vec::<String>::new());
    let renewed = [crate::server_keys::key("ed25519:1", "k1", 200)];
    assert_eq!(store(&worker, "known.org", &renewed, 20_001), renewed, "who is known stays known");
    assert_eq!(load(&worker, "known.org"), renewed);

    let sweep = |now: u64| Executor::new().run(expire(&&*worker.node.d1, Millis(now))).unwrap();
    sweep(30_000);
    assert_eq!(servers(&worker), [KEPT_SERVERS; 3]);
    assert_eq!(["s1.org", "s1000.org"].map(|name| load(&worker, name).len()), [0, 0], "the oldest go");
    assert_eq!(["s1001.org", "known.org", "last.org"].map(|name| load(&worker, name).len()), [1; 3]);
    assert_eq!(store(&worker, "late.org", &key, 30_001), key);
    assert_eq!(servers(&worker), [KEPT_SERVERS + 1; 3]);
}

#[test]
fn a_server_that_nobody_asks_for_is_forgotten_after_a_while() {
    let worker = Worker::new();
    let key = [key("ed25519:1", "k1", 100)];
    store(&worker, "old.org", &key, 1_000);
    store(&worker, "new.org", &key, 2_000);
    let sweep = |now: u64| Executor::new().run(expire(&&*worker.node.d1, Millis(now))).unwrap();
    sweep(1_000 + KEPT_FOR);
    assert_eq!(servers(&worker), [2; 3]);
    sweep(1_001 + KEPT_FOR);
    assert_eq!(servers(&worker), [1; 3]);
    assert_eq!((load(&worker, "old.org").len(), load(&worker, "new.org").len()), (0, 1));
    let written = worker.node.d1.rows_written();
    sweep(1_001 + KEPT_FOR);
    assert_eq!(worker.node.d1.rows_written(), written, "a sweep of nothing writes nothing");
}
