//! What other servers are told of spaces, and of invites to addresses.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod edge;

use std::{cell::RefCell, rc::Rc};

use edge::{Edge, code, config};
use ruma::{OwnedRoomId, room_id, server_name};
use serde_json::{Value, json};
use tern_edge::federation::{
    hierarchy::{self, ServedSpace},
    third_party,
};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Sql as _,
    wire::{
        DestinationCommand, RoomCommand,
        destination::{RemoteAnswer, SendRequest},
        server_reads::{ServedEvents, ServerRead},
    },
};
use tern_storage::Database;
use tern_testkit::network::{error_reply, reply};

/// The room that other.org is in.
const TOGETHER: &str = "!together:example.org";

/// What a room shows, in the database.
fn knows(edge: &Edge, room_id: &str, facts: &Value) {
    let mut all =
        json!({ "room_version": "11", "num_joined_members": 1, "guest_can_join": false, "world_readable": false });
    all.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    let insert = "INSERT INTO room_facts (room_id, as_of, joined, folded, facts) VALUES (?, 1, 1, '', ?)";
    let global = edge.storage.d1.database(Database::Global);
    global.query(insert, &[room_id.into(), all.to_string().into()]).unwrap();
}

fn child(room_id: &str, suggested: bool) -> Value {
    json!({
        "type": "m.space.child", "state_key": room_id, "sender": "@a:example.org", "origin_server_ts": 1,
        "content": { "via": ["example.org"], "suggested": suggested },
    })
}

fn edge() -> Edge {
    let edge = Edge::new();
    edge.hubs.rooms(|room_id, command| match command {
        RoomCommand::ReadForServer(ask) if ask.read == ServerRead::Access && room_id == TOGETHER => {
            reply(ServedEvents::default())
        }
        _ => error_reply(MatrixError::forbidden("The server is not in the room")),
    });
    let children = [
        child("!public:example.org", true),
        child("!closed:example.org", false),
        child("!unknown:example.org", true),
        child(TOGETHER, false),
        child("!allowed:example.org", false),
        child("!others:example.org", false),
    ];
    let space = json!({ "room_type": "m.space", "join_rule": "public", "children": children });
    knows(&edge, "!space:example.org", &space);
    knows(&edge, "!public:example.org", &json!({ "join_rule": "knock", "name": "public" }));
    knows(&edge, "!closed:example.org", &json!({ "join_rule": "invite" }));
    knows(&edge, TOGETHER, &json!({ "join_rule": "invite" }));
    let restricted = |room_id: &str| json!({ "join_rule": "restricted", "allowed_room_ids": [room_id] });
    knows(&edge, "!allowed:example.org", &restricted(TOGETHER));
    knows(&edge, "!others:example.org", &restricted("!closed:example.org"));
    edge
}

fn space(edge: &Edge, room_id: &ruma::RoomId, suggested_only: bool) -> Result<ServedSpace, MatrixError> {
    edge.run(hierarchy::read(edge, server_name!("other.org"), room_id, suggested_only))
}

#[test]
fn a_server_is_told_of_the_rooms_that_its_users_could_enter() {
    let edge = edge();
    let found = space(&edge, room_id!("!space:example.org"), false).unwrap();
    let ids: Vec<_> = found.children.iter().map(|room| room.room_id.as_str()).collect();
    assert_eq!(ids, ["!allowed:example.org", "!public:example.org", TOGETHER]);
    assert_eq!(found.inaccessible, ["!closed:example.org", "!others:example.org"], "what is unknown is left out");
    assert_eq!(found.room.facts.children.len(), 6);
    let suggested = space(&edge, room_id!("!space:example.org"), true).unwrap();
    assert_eq!((suggested.children.len(), suggested.inaccessible.len()), (1, 0));
    assert_eq!(suggested.room.facts.children.len(), 2);
    // A room that is no space has no rooms in it.
    assert_eq!(space(&edge, room_id!("!together:example.org"), false).map(|found| found.children.len()), Ok(0));
    for hidden in [room_id!("!closed:example.org"), room_id!("!unknown:example.org"), room_id!("!others:example.org")] {
        assert_eq!(code(space(&edge, hidden, false)), (404, "M_NOT_FOUND".to_owned()), "{hidden}");
    }
}

type Asked = Rc<RefCell<Vec<(String, SendRequest)>>>;

/// What is asked of other servers, which answer with this status.
fn asked(edge: &Edge, status: u16) -> Asked {
    let asked = Asked::default();
    let kept = Rc::clone(&asked);
    edge.hubs.destinations(move |server, command| match command {
        DestinationCommand::SendRequest(request) => {
            kept.borrow_mut().push((server.to_string(), *request));
            let body = Some(RawJson::parse("{}".to_owned()).unwrap());
            reply(RemoteAnswer { status, body, retry_after_ms: None })
        }
        _ => error_reply(MatrixError::unavailable()),
    });
    asked
}

fn bound(edge: &Edge, mxid: &str, invites: &Value) -> Result<(), (u16, String)> {
    let body = json!({ "medium": "email", "address": "a@example.org", "mxid": mxid, "invites": invites });
    let body = serde_json::from_value(body).map_err(|error| (400, error.to_string()))?;
    let answer = edge.run(third_party::bound(edge, &config(), &body, || Ok(())));
    answer.map_err(|error| (error.status, error.errcode.into_owned()))
}

#[test]
fn invites_that_waited_for_an_address_are_passed_on_to_those_who_invite() {
    let edge = edge();
    let asked = asked(&edge, 200);
    let invite = |sender: &str| {
        json!({
            "medium": "email", "address": "a@example.org", "mxid": "@alice:example.org", "room_id": "!r:other.org", "sender": sender,
            "signed": { "mxid": "@alice:example.org", "token": "t", "signatures": { "id.org": { "ed25519:0": "s" } } },
        })
    };
    assert_eq!(bound(&edge, "@alice:example.org", &json!([])), Ok(()));
    assert_eq!(bound(&edge, "@alice:example.org", &json!([invite("@bob:Other.org")])), Ok(()));
    let (server, request) = asked.borrow_mut().pop().unwrap();
    assert_eq!(server, "other.org");
    assert_eq!(request.target.as_str(), "/_matrix/federation/v1/exchange_third_party_invite/%21r%3Aother.org");
    let body: Value = request.body.unwrap().read().unwrap();
    assert_eq!((&body["sender"], &body["state_key"]), (&json!("@bob:Other.org"), &json!("@alice:example.org")));
    assert_eq!(body["content"]["third_party_invite"]["signed"]["token"], "t");
    for (mxid, invites, refusal) in [
        ("@alice:other.org", json!([]), (400, "M_INVALID_PARAM")),
        ("@alice:example.org", json!([invite("@bob:example.org")]), (403, "M_FORBIDDEN")),
    ] {
        assert_eq!(bound(&edge, mxid, &invites), Err((refusal.0, refusal.1.to_owned())));
    }
    let many = json!(vec![invite("@bob:other.org"); 11]);
    assert_eq!(bound(&edge, "@alice:example.org", &many).unwrap_err().0, 400);
    assert_eq!(asked.borrow().len(), 0);
}

#[test]
fn rooms_here_have_no_such_invites() {
    let event = |room_id: &str, user_id: &str| {
        let event = json!({ "type": "m.room.member", "room_id": room_id, "state_key": user_id, "content": {} });
        let room_id = OwnedRoomId::try_from("!r:example.org").unwrap();
        let event = RawJson::from_value(&event).unwrap();
        let refused = third_party::refusal(server_name!("other.org"), &room_id, &event);
        (refused.status, refused.errcode.into_owned())
    };
    assert_eq!(event("!other:example.org", "@bob:other.org"), (400, "M_INVALID_PARAM".to_owned()));
    assert_eq!(event("!r:example.org", "@bob:example.org"), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(event("!r:example.org", "@bob:other.org"), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(event("!r:example.org", "nobody"), (400, "M_BAD_JSON".to_owned()));
}
