//! Reads of rooms for those who ignore users: the room is asked again only where that can change the answer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod edge;

use std::collections::BTreeSet;

use edge::{Edge, code};
use ruma::{OwnedUserId, owned_user_id, room_id, user_id};
use serde_json::{Value, json};
use tern_edge::ignored;
use tern_model::{Caller, MatrixError, RawJson};
use tern_ports::wire::{
    RoomCommand, UserCommand,
    relations::{ReadThreads, RelationPage},
    room::ReadEvent,
    user::SessionRef,
};
use tern_testkit::network::{error_reply, reply};

fn bob() -> OwnedUserId {
    owned_user_id!("@bob:example.org")
}

/// Alice ignores these. A room's event has these relations, and its page of threads has the event.
fn edge(ignored: Vec<OwnedUserId>, relations: &Value) -> Edge {
    let edge = Edge::new();
    edge.hubs.users(move |_, command| match command {
        UserCommand::ListIgnored(_) => reply(ignored.clone()),
        other => panic!("unexpected {}", other.name()),
    });
    let event = json!({ "sender": "@carol:example.org", "unsigned": { "m.relations": relations } });
    let event = RawJson::from_value(&event).unwrap();
    edge.hubs.rooms(move |_, command| match command {
        RoomCommand::ReadEvent(_) => reply(event.clone()),
        RoomCommand::ReadThreads(_) => reply(RelationPage { chunk: vec![event.clone()], next: None, depth: None }),
        other => panic!("unexpected {}", other.name()),
    });
    edge
}

fn caller() -> Caller {
    Caller { user_id: owned_user_id!("@alice:example.org"), device_id: "D".into() }
}

fn read<R: ignored::Aggregating>(edge: &Edge, ask: R) -> Result<R::Reply, MatrixError> {
    let session = SessionRef { device_id: "D".into(), session_id: "s".to_owned() };
    let read = ignored::read(edge, user_id!("@alice:example.org"), session, room_id!("!r:example.org"), ask);
    edge.run(read).map(|(reply, _)| reply)
}

/// The lists of ignored users in what the room was asked.
fn asked(edge: &Edge) -> Vec<BTreeSet<OwnedUserId>> {
    let of = |command| match command {
        RoomCommand::ReadEvent(ask) => ask.ignored,
        RoomCommand::ReadThreads(ask) => ask.ignored,
        other => panic!("unexpected {}", other.name()),
    };
    edge.hubs.sent_to_rooms().into_iter().map(|(_, command)| of(command)).collect()
}

#[test]
fn a_room_is_asked_again_only_where_ignored_users_can_make_a_difference() {
    let (nobody, bob_only) = (BTreeSet::new(), BTreeSet::from([bob()]));
    let (thread, reference) = (json!({ "m.thread": { "count": 1 } }), json!({ "m.reference": { "chunk": [] } }));
    for (ignored, relations, expected) in [
        (vec![], &thread, vec![nobody.clone()]),
        (vec![bob()], &json!({ "m.replace": {} }), vec![nobody.clone()]),
        (vec![bob()], &thread, vec![nobody.clone(), bob_only.clone()]),
        (vec![bob()], &reference, vec![nobody.clone(), bob_only.clone()]),
    ] {
        let edge = edge(ignored, relations);
        let event_id = "$event".try_into().unwrap();
        read(&edge, ReadEvent { caller: caller(), event_id, ignored: BTreeSet::new() }).unwrap();
        assert_eq!(asked(&edge), expected, "{relations}");
    }
}

#[test]
fn a_list_of_threads_depends_on_the_ignored_users_in_any_case() {
    for ignored in [vec![], vec![bob()]] {
        let edge = edge(ignored.clone(), &json!({}));
        let ask =
            ReadThreads { caller: caller(), participated: false, from: None, limit: 10, ignored: BTreeSet::new() };
        assert_eq!(read(&edge, ask).unwrap().chunk.len(), 1);
        assert_eq!(asked(&edge).len(), 1 + ignored.len());
    }
}

#[test]
fn whose_hub_does_not_know_the_session_reads_nothing() {
    let edge = edge(Vec::new(), &json!({}));
    edge.hubs.users(|_, _| error_reply(MatrixError::new(401, "M_UNKNOWN_TOKEN", "The session has ended")));
    let event_id = "$event".try_into().unwrap();
    let ended = read(&edge, ReadEvent { caller: caller(), event_id, ignored: BTreeSet::new() });
    assert_eq!(code(ended), (401, "M_UNKNOWN_TOKEN".to_owned()));
}
