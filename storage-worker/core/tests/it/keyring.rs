use tern_ports::wire::storage::{LoadKeyring, SaveKeyring, StoredKeyring};

use crate::support::Worker;

fn save(worker: &Worker, replaces: u64, keyring: &str) -> bool {
    worker.ask(SaveKeyring { replaces, keyring: keyring.to_owned() })
}

#[test]
fn of_several_who_replace_the_keys_one_does() {
    let worker = Worker::new();
    assert_eq!(worker.ask(LoadKeyring {}), None);
    assert!(save(&worker, 0, "first"));
    assert!(!save(&worker, 0, "also first"));
    assert!(save(&worker, 1, "second"));
    assert!(!save(&worker, 1, "also second"));
    assert_eq!(worker.ask(LoadKeyring {}), Some(StoredKeyring { version: 2, keyring: "second".to_owned() }));
}
