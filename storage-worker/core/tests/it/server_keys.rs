use ruma::OwnedServerName;
use tern_model::{BoundedVec, Millis, Name, RawJson};
use tern_ports::wire::server_keys::{LoadKeyResponses, LoadServerKeys, StoreServerKeys, StoredServerKey};

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
    assert_eq!(store(&worker, "a.org", std::slice::from_ref(&first), 1), [first.clone()]);
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
