//! Servers that fail are listed until they are back.

use tern_model::Millis;
use tern_ports::{
    Sql,
    wire::troubles::{ListTroubles, NoteTrouble},
};
use tern_storage::Database;

use crate::support::Worker;

fn note(worker: &Worker, server: &str, fails: bool, at: u64) {
    worker.ask(NoteTrouble { server: server.try_into().unwrap(), fails, ts: Millis(at) });
}

fn listed(worker: &Worker, after: Option<&str>, limit: u32) -> Vec<(String, u64)> {
    let after = after.map(|after| after.try_into().unwrap());
    let servers = worker.ask(ListTroubles { after, limit });
    servers.iter().map(|one| (one.server.to_string(), one.since.0)).collect()
}

#[test]
fn a_server_is_listed_since_it_failed_first_until_it_is_back() {
    let worker = Worker::new();
    for (server, at) in [("b.org", 1), ("a.org:8448", 2), ("c.org", 3)] {
        note(&worker, server, true, at);
    }
    let writes = || worker.node.d1.database(Database::Global).rows_written();
    let before = writes();
    note(&worker, "b.org", true, 9);
    assert_eq!(writes(), before, "what is known costs no row");
    assert_eq!(listed(&worker, None, 2), [("a.org:8448".to_owned(), 2), ("b.org".to_owned(), 1)]);
    assert_eq!(listed(&worker, Some("b.org"), 2), [("c.org".to_owned(), 3)]);
    note(&worker, "b.org", false, 10);
    note(&worker, "never.org", false, 10);
    assert_eq!(listed(&worker, None, 9).len(), 2);
}
