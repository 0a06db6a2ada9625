//! Anybody can register a client, so one that nobody lets in is forgotten.

use tern_model::Millis;
use tern_ports::{
    Sql,
    wire::storage::{LoadClient, SaveClient, UseClient},
};
use tern_storage::{
    Database,
    commands::clients::{UNUSED_FOR, expire},
};
use tern_testkit::Executor;

use crate::support::Worker;

fn save(worker: &Worker, name: &str, secret_hash: Option<&str>, at: u64) {
    let (client_id, secret_hash) = (name.to_owned(), secret_hash.map(str::to_owned));
    worker.ask(SaveClient { client_id, metadata: "{}".to_owned(), secret_hash, ts: Millis(at) });
}

#[test]
fn clients_that_nobody_lets_in_are_forgotten() {
    let worker = Worker::new();
    for name in ["used", "unused", "again"] {
        save(&worker, name, None, 1_000);
    }
    save(&worker, "trusted", Some("hash"), 1_000);
    worker.ask(UseClient { client_id: "used".to_owned() });
    let writes = || worker.node.d1.database(Database::Global).rows_written();
    let before = writes();
    worker.ask(UseClient { client_id: "used".to_owned() });
    save(&worker, "used", None, UNUSED_FOR);
    save(&worker, "again", None, 2_000);
    assert_eq!(writes(), before, "neither a client that is used nor a repeated registration writes anything");
    save(&worker, "again", None, UNUSED_FOR);
    Executor::new().run(expire(&&*worker.node.d1, Millis(UNUSED_FOR + 2_000))).unwrap();
    let known = |name: &str| worker.ask(LoadClient { client_id: name.to_owned() }).is_some();
    assert_eq!(["used", "unused", "again", "trusted"].map(known), [true, false, true, true]);
}
