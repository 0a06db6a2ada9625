use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Sql,
    wire::{
        Done,
        storage::{RegisterRoom, ReleaseAlias, ResolveAlias},
    },
};
use tern_storage::Database;

use crate::support::{Worker, journal, room, user};

fn alias(name: &str) -> OwnedRoomAliasId {
    RoomAliasId::parse(format!("#{name}:tern.test")).unwrap()
}

fn register(worker: &Worker, room_id: &OwnedRoomId, name: Option<&str>, public: bool) -> Result<Done, MatrixError> {
    let (room_id, creator, ts) = (room_id.clone(), user("alice"), Millis(1));
    worker.try_ask(RegisterRoom { room_id, creator, alias: name.map(alias), public, ts })
}

fn listed(worker: &Worker) -> usize {
    worker.node.d1.database(Database::Global).query("SELECT room_id FROM directory", &[]).unwrap().len()
}

#[test]
fn an_alias_belongs_to_the_first_room_that_takes_it() {
    let worker = Worker::new();
    register(&worker, &room("a"), Some("x"), true).unwrap();
    register(&worker, &room("a"), Some("x"), true).unwrap();
    let taken = register(&worker, &room("b"), Some("x"), true).unwrap_err();
    assert_eq!((taken.status, &*taken.errcode), (400, "M_ROOM_IN_USE"));
    assert_eq!(listed(&worker), 1, "the room that was refused is not listed");
    assert_eq!(worker.ask(ResolveAlias { alias: alias("x") }), Some(room("a")));
    assert_eq!(worker.ask(ResolveAlias { alias: alias("y") }), None);
}

#[test]
fn a_room_may_be_listed_without_an_alias() {
    let worker = Worker::new();
    register(&worker, &room("a"), None, true).unwrap();
    register(&worker, &room("b"), None, false).unwrap();
    assert_eq!(listed(&worker), 1);
}

#[test]
fn a_released_alias_is_free_again() {
    let worker = Worker::new();
    register(&worker, &room("a"), Some("x"), true).unwrap();
    worker.ask(ReleaseAlias { room_id: room("a") });
    assert_eq!((listed(&worker), worker.ask(ResolveAlias { alias: alias("x") })), (0, None));
    register(&worker, &room("b"), Some("x"), false).unwrap();
    assert_eq!(worker.ask(ResolveAlias { alias: alias("x") }), Some(room("b")));
}

#[test]
fn a_room_that_was_made_after_all_keeps_its_alias() {
    let (worker, id) = (Worker::new(), room("a"));
    register(&worker, &id, Some("x"), true).unwrap();
    worker.append(&id, &journal(&id, 5));
    worker.ask(ReleaseAlias { room_id: id.clone() });
    assert_eq!((listed(&worker), worker.ask(ResolveAlias { alias: alias("x") })), (1, Some(id)));
}

/// Runs every command of this file once.
pub(crate) fn touch(worker: &Worker, id: &OwnedRoomId) {
    register(worker, id, Some("touched"), true).unwrap();
    worker.ask(ResolveAlias { alias: alias("touched") });
    worker.ask(ReleaseAlias { room_id: id.clone() });
}
