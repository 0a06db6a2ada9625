//! The host answers, spawns and crashes.

use std::rc::Rc;

use tern_model::{MatrixError, RawJson, RoomSeq};
use tern_ports::{
    ObjectHost, Spawn, Sql, ask_storage, ask_user,
    wire::{
        Done,
        storage::{AppendEvents, Appended},
        user::{ProbeUser, ReadProfile},
    },
};

use tern_testkit::{
    Routes, TestHost,
    network::{error_reply, lost, reply},
};

#[test]
fn closures_answer_for_their_targets() {
    let routes = Routes::new();
    routes.storage(|_| reply(Appended { through: RoomSeq(3) }));
    routes.users(|user_id, _| match user_id.localpart() {
        "gone" => lost(),
        "none" => error_reply(MatrixError::not_found("no such user")),
        _ => reply(std::collections::BTreeMap::from([("displayname".to_owned(), RawJson::empty_object())])),
    });
    let host = TestHost::on(Rc::clone(&routes) as _);
    let append = AppendEvents {
        room_id: ruma::room_id!("!r:x").to_owned(),
        room_version: "12".to_owned(),
        events: Vec::new(),
        facts: None,
    };
    assert_eq!(host.run(ask_storage(&*host, append)).unwrap().through, RoomSeq(3));
    let profile = host.run(ask_user(&*host, ruma::user_id!("@a:x"), ReadProfile {})).unwrap();
    assert!(profile.contains_key("displayname"));
    let gone = host.run(ask_user(&*host, ruma::user_id!("@gone:x"), ProbeUser {}));
    assert_eq!(gone.unwrap_err().status, 503);
    let none = host.run(ask_user(&*host, ruma::user_id!("@none:x"), ProbeUser {}));
    assert_eq!(none.unwrap_err().status, 404);
    assert_eq!((routes.sent_to_users().len(), routes.sent_to_storage().len()), (3, 1));
    assert_eq!(reply(Done {}).unwrap(), b"1\n{\"Ok\":{}}");
}

#[test]
fn spawned_work_runs_beside_and_after_and_a_crash_keeps_what_was_synced() {
    let host = TestHost::new();
    host.sql().query("CREATE TABLE t (x INTEGER) STRICT", &[]).unwrap();
    let inner = Rc::clone(&host);
    host.spawn(Box::pin(async move {
        inner.sql().query("INSERT INTO t VALUES (1)", &[]).unwrap();
        inner.synced().await;
        inner.sql().query("INSERT INTO t VALUES (2)", &[]).unwrap();
    }));
    host.settle();
    let again = host.crashed();
    assert_eq!(again.sql().query("SELECT x FROM t", &[]).unwrap().len(), 1);
}
