//! The copy of users' public keys.

use ruma::OwnedUserId;
use tern_model::{Millis, RawJson};
use tern_ports::wire::{
    keys::{FoundKeys, KeysPage, PublicKeys, PublishKeys, ReadPublicKeys},
    storage::CreateUser,
};

use crate::support::{Worker, user};

fn json(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

fn keys(device: &str) -> PublicKeys {
    PublicKeys { devices: json(&format!("{{\"{device}\":{{}}}}")), master: Some(json("{\"m\":1}")), self_signing: None }
}

fn publish(worker: &Worker, name: &str, version: u64, keys: Option<PublicKeys>) {
    worker.ask(PublishKeys { user_id: user(name), version, keys });
}

fn read(worker: &Worker, users: &[OwnedUserId]) -> KeysPage {
    worker.ask(ReadPublicKeys { users: users.to_vec(), versions: false })
}

fn create(worker: &Worker, name: &str) {
    worker.ask(CreateUser {
        user_id: user(name),
        password_hash: None,
        admin: false,
        ts: Millis(7),
        registration_token: None,
        identifiers: Vec::new(),
    });
}

#[test]
fn an_older_version_does_not_come_back() {
    let worker = Worker::new();
    let now = || read(&worker, &[user("alice")]).found;
    for (version, device) in [(1, "ONE"), (3, "THREE"), (2, "TWO"), (3, "AGAIN")] {
        publish(&worker, "alice", version, Some(keys(device)));
    }
    assert_eq!(now(), [FoundKeys { user_id: user("alice"), keys: Some(keys("THREE")), version: None }]);
    publish(&worker, "alice", 4, None);
    assert_eq!(now(), [FoundKeys { user_id: user("alice"), keys: None, version: None }], "too long for the copy");
    publish(&worker, "alice", 3, Some(keys("THREE")));
    assert_eq!(now()[0].keys, None);
    publish(&worker, "alice", 5, Some(PublicKeys { master: None, ..keys("FIVE") }));
    assert_eq!(now()[0].keys, Some(PublicKeys { master: None, ..keys("FIVE") }), "nothing is left of the older one");
}

#[test]
fn who_has_no_copy_is_told_from_who_does_not_exist() {
    let worker = Worker::new();
    create(&worker, "bob");
    publish(&worker, "alice", 1, Some(keys("A")));
    let page = read(&worker, &[user("alice"), user("bob"), user("nobody")]);
    assert_eq!(page.looked_at, 3);
    let found: Vec<_> = page.found.iter().map(|found| (found.user_id.localpart(), found.keys.is_some())).collect();
    assert_eq!(found, [("alice", true), ("bob", false)]);
}

#[test]
fn a_page_is_bounded_and_a_read_of_many_is_few_statements() {
    let worker = Worker::new();
    let names: Vec<_> = (0..1_000).map(|number| format!("user{number:03}")).collect();
    let users: Vec<_> = names.iter().map(|name| user(name)).collect();
    for name in &names {
        publish(&worker, name, 1, Some(keys("DEVICE")));
    }
    worker.node.d1.take_batches();
    let page = read(&worker, &users);
    assert_eq!((page.looked_at, page.found.len()), (1_000, 1_000));
    assert_eq!(worker.node.d1.take_batches().len(), 4);

    let long = PublicKeys { devices: json(&format!("{{\"A\":\"{}\"}}", "k".repeat(60_000))), ..keys("") };
    assert!(long.bytes() <= PublicKeys::MOST_BYTES);
    for name in &names[..250] {
        publish(&worker, name, 2, Some(long.clone()));
    }
    let page = read(&worker, &users);
    assert_eq!((page.looked_at, page.found.len()), (250, 250), "the rest is asked for again");
}

/// Runs every command of this file once.
pub(crate) fn touch(worker: &Worker) {
    publish(worker, "touched", 1, Some(keys("A")));
    read(worker, &[user("touched")]);
}
