//! A device of a push gateway is its last user's, unless several share it.

use ruma::OwnedUserId;
use tern_model::{Millis, Name};
use tern_ports::{
    Sql,
    wire::pushers::{FindPushkey, SavePushkey},
};
use tern_storage::Database;

use crate::support::Worker;

fn save(worker: &Worker, key: &str, user: &str, append: bool, at: u64) {
    let user_id = OwnedUserId::try_from(format!("@{user}:x")).unwrap();
    worker.ask(SavePushkey { key: Name::cut(key), user_id, append, ts: Millis(at) });
}

fn whose(worker: &Worker, key: &str) -> Vec<String> {
    let users = worker.ask(FindPushkey { key: Name::cut(key) });
    users.iter().map(|user_id| user_id.localpart().to_owned()).collect()
}

#[test]
fn a_device_is_its_last_users_unless_several_share_it() {
    let worker = Worker::new();
    save(&worker, "k", "alice", false, 1);
    save(&worker, "k", "bob", true, 2);
    assert_eq!(whose(&worker, "k"), ["alice", "bob"]);
    save(&worker, "k", "carol", false, 3);
    assert_eq!(whose(&worker, "k"), ["carol"]);
    assert!(whose(&worker, "other").is_empty());
    let writes = || worker.node.d1.database(Database::Global).rows_written();
    let before = writes();
    save(&worker, "k", "carol", false, 4);
    assert_eq!(writes(), before, "what is known costs no row");
}

#[test]
fn of_one_user_the_newest_are_kept() {
    let worker = Worker::new();
    for number in 0..45 {
        save(&worker, &format!("k{number}"), "alice", false, number);
    }
    let kept = (0..45).filter(|number| !whose(&worker, &format!("k{number}")).is_empty());
    assert_eq!(kept.collect::<Vec<_>>(), (5..45).collect::<Vec<_>>());
}
