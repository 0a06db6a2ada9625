//! Invites of users of other servers: their server signs first, and nothing happens where it does not.

#![expect(clippy::unwrap_used, reason = "tests")]

mod edge;

use std::{cell::RefCell, rc::Rc};

use edge::{Edge, code, config};
use ruma::{room_id, user_id};
use serde_json::{Value, json};
use tern_edge::{
    create::create_room,
    join::{self, MembershipChange},
};
use tern_model::{EventRef, MatrixError, MembershipAction, Name, RawJson};
use tern_ports::{
    Unreachable,
    wire::{
        DestinationCommand, RoomCommand,
        destination::RemoteAnswer,
        invite::{PrepareInvite, PreparedInvite},
        receive::{PduResult, Receipted, ReceiveEvents},
        room::Sent,
    },
};
use tern_testkit::network::{error_reply, reply};

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

#[derive(Clone, Default)]
struct Seen {
    prepared: Rc<RefCell<Vec<PrepareInvite>>>,
    taken: Rc<RefCell<Vec<ReceiveEvents>>>,
    sent: Rc<RefCell<Vec<(String, Value)>>>,
}

/// The proxy, a room that takes what it is given, and far.org, which answers this.
fn scene(status: u16, answer: Value, result: PduResult) -> (Edge, Seen) {
    let (edge, seen) = (Edge::new(), Seen::default());
    let now = seen.clone();
    edge.hubs.rooms(move |_, command| match command {
        RoomCommand::PrepareInvite(ask) => {
            now.prepared.borrow_mut().push(*ask);
            reply(Some(PreparedInvite {
                version: Name::cut("11"),
                event_id: EventRef::try_from("$invite").unwrap(),
                event: raw(
                    &json!({ "content": { "membership": "invite" }, "signatures": { "example.org": { "k": "s" } } }),
                ),
                shown: vec![raw(&json!({ "type": "m.room.create" }))],
            }))
        }
        RoomCommand::ReceiveEvents(ask) => {
            now.taken.borrow_mut().push(*ask);
            reply(vec![Receipted { event_id: None, result: result.clone() }])
        }
        RoomCommand::CreateRoom(_) => reply(Sent { event_id: "$create".try_into().unwrap() }),
        other => Err(Unreachable(format!("unexpected {}", other.name()))),
    });
    let now = seen.clone();
    edge.hubs.destinations(move |server, command| {
        let DestinationCommand::SendRequest(ask) = command else { return Err(Unreachable("keys".to_owned())) };
        if server != "far.org" {
            return error_reply(MatrixError::new(502, "M_UNREACHABLE", "away"));
        }
        now.sent.borrow_mut().push((ask.target.to_string(), ask.body.unwrap().read().unwrap()));
        reply(RemoteAnswer { status, body: Some(raw(&answer)), retry_after_ms: None })
    });
    (edge, seen)
}

fn signed() -> Value {
    json!({ "event": { "content": { "membership": "ban" }, "signatures": { "far.org": { "f": "t" }, "x.org": {} } } })
}

fn invite(edge: &Edge, target: &str) -> Result<(), MatrixError> {
    let (caller, target) = (user_id!("@alice:example.org"), target.try_into().unwrap());
    let change = MembershipChange { caller, action: MembershipAction::Invite, target, reason: Some("why") };
    edge.run(join::change(edge, &config(), room_id!("!r:example.org"), change))
}

#[test]
fn an_invite_becomes_part_of_the_room_once_the_other_server_has_signed_it() {
    let (edge, seen) = scene(200, signed(), PduResult::Accepted);
    assert_eq!(invite(&edge, "@eve:far.org"), Ok(()));
    let sent = seen.sent.take();
    assert_eq!(sent[0].0, "/_matrix/federation/v2/invite/%21r%3Aexample.org/%24invite");
    let whole = json!([{ "type": "m.room.create" }]);
    assert_eq!((&sent[0].1["room_version"], &sent[0].1["invite_room_state"]), (&json!("11"), &whole));
    assert_eq!(seen.prepared.borrow()[0].reason.as_deref(), Some("why"));
    let taken = seen.taken.take().remove(0);
    let expected = json!({
        "content": { "membership": "invite" }, "signatures": { "example.org": { "k": "s" }, "far.org": { "f": "t" } },
    });
    assert_eq!(taken.events[0].read::<Value>().unwrap(), expected, "nothing but its signature is theirs");
    assert_eq!((taken.origin.as_str(), taken.keys[0].key_id.as_str()), ("example.org", "ed25519:a"));
}

#[test]
fn where_the_other_server_does_not_agree_nothing_happens() {
    let refusal = |errcode: &str| json!({ "errcode": errcode, "error": "no" });
    for (status, answer, expected) in [
        (403, refusal("M_FORBIDDEN"), (403, "M_FORBIDDEN")),
        (403, refusal("M_INVITE_BLOCKED"), (403, "M_INVITE_BLOCKED")),
        (404, refusal("M_NOT_FOUND"), (404, "M_NOT_FOUND")),
        (400, refusal("M_UNSUPPORTED_ROOM_VERSION"), (400, "M_UNSUPPORTED_ROOM_VERSION")),
        (500, refusal("M_UNKNOWN"), (502, "M_UNKNOWN")),
        (200, json!({ "event": { "signatures": { "x.org": {} } } }), (502, "M_UNKNOWN")),
        (200, json!({}), (502, "M_UNKNOWN")),
    ] {
        let (edge, seen) = scene(status, answer, PduResult::Accepted);
        assert_eq!(code(invite(&edge, "@eve:far.org")), (expected.0, expected.1.to_owned()));
        assert!(seen.taken.take().is_empty());
    }
    let (edge, _) = scene(200, signed(), PduResult::SoftFailed("kicked".to_owned()));
    assert_eq!(code(invite(&edge, "@eve:far.org")), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(code(invite(&edge, "@eve:away.org")), (502, "M_UNREACHABLE".to_owned()));
}

#[test]
fn a_new_room_invites_users_of_other_servers_once_it_is_there() {
    let (edge, seen) = scene(200, signed(), PduResult::Accepted);
    let body =
        json!({ "invite": ["@eve:far.org", "@gone:away.org"], "is_direct": true, "preset": "trusted_private_chat" });
    let request = serde_json::from_value(body).unwrap();
    edge.run(create_room(&edge, &config(), user_id!("@alice:example.org"), &request)).unwrap();
    let prepared = seen.prepared.take();
    let content: Value = prepared[0].content.as_ref().unwrap().read().unwrap();
    assert_eq!((prepared[0].target.as_str(), &content["is_direct"]), ("@eve:far.org", &json!(true)));
    assert_eq!((prepared.len(), seen.taken.take().len()), (2, 1), "one of them is out of reach");
    let rooms = edge.hubs.sent_to_rooms();
    let drafts = rooms.iter().find_map(|(_, command)| match command {
        RoomCommand::CreateRoom(create) => Some(create.drafts.clone()),
        _ => None,
    });
    assert!(drafts.unwrap().iter().all(|draft| draft.state_key.as_deref() != Some("@eve:far.org")));
}
