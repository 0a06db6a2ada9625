//! Users of other servers come through this one: what their servers are told.

#![expect(clippy::unwrap_used, reason = "tests")]

mod edge;

use edge::{Edge, code, config};
use ruma::{RoomId, ServerName};
use serde_json::{Value, json};
use tern_edge::federation::{
    handshake::{HandedOver, make, send},
    key_cache::KeyCache,
};
use tern_model::{Bounded, Handshake, MatrixError, RawJson};
use tern_ports::{
    Unreachable,
    wire::{
        RoomCommand,
        handshake::{MemberTemplate, SentMember},
    },
};
use tern_testkit::network::reply;

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

/// The proxy before a room that agrees to everything, and says what it was asked.
fn edge() -> Edge {
    let edge = Edge::new();
    edge.hubs.rooms(|_, command| match command {
        RoomCommand::MakeMember(ask) => {
            let versions: Vec<&str> = ask.versions.iter().map(Bounded::as_str).collect();
            let event = raw(&json!({ "asked": versions, "for": ask.handshake.membership() }));
            reply(MemberTemplate { room_version: "11".to_owned(), event })
        }
        RoomCommand::SendMember(ask) => reply(SentMember {
            event: ask.event.into_raw(),
            state: vec![raw(&json!({ "state": 1 }))],
            auth_chain: vec![raw(&json!({ "chain": 1 }))],
            servers: vec!["example.org".try_into().unwrap()],
        }),
        other => Err(Unreachable(format!("unexpected {}", other.name()))),
    });
    edge
}

fn room() -> &'static RoomId {
    ruma::room_id!("!room:example.org")
}

fn origin() -> &'static ServerName {
    ruma::server_name!("far.org")
}

#[test]
fn a_template_is_asked_for_with_the_versions_that_the_server_knows() {
    let edge = edge();
    let ask = |handshake, versions: &[&'static str]| {
        let who = (room(), "@eve:far.org".try_into().unwrap());
        edge.run(make(&edge, origin(), handshake, who, versions.iter().copied())).unwrap()
    };
    let template = ask(Handshake::Join, &["10", "11"]);
    assert_eq!(template, json!({ "room_version": "11", "event": { "asked": ["10", "11"], "for": "join" } }));
    assert_eq!(ask(Handshake::Knock, &[])["event"]["asked"], json!(["1"]), "whoever names none knows the first");
    assert_eq!(ask(Handshake::Leave, &vec!["x"; 200])["event"]["asked"].as_array().map(Vec::len), Some(100));
}

fn hand(edge: &Edge, handshake: Handshake, event: &Value, omit_members: bool) -> Result<Value, MatrixError> {
    let event_id = "$event".try_into().unwrap();
    let handed = HandedOver { room_id: room(), event_id, event: raw(event), omit_members };
    let cache = KeyCache::default();
    edge.run(send(edge, &config(), &cache, (origin(), handshake), handed, || Ok(())))
}

#[test]
fn the_answer_to_a_handshake_has_what_its_kind_needs() {
    let edge = edge();
    let event = json!({ "type": "m.room.member" });
    for omitted in [false, true] {
        let joined = hand(&edge, Handshake::Join, &event, omitted).unwrap();
        let expected = json!({
            "origin": "example.org", "event": event, "state": [{ "state": 1 }], "auth_chain": [{ "chain": 1 }],
            "members_omitted": omitted, "servers_in_room": ["example.org"],
        });
        assert_eq!(joined, expected);
    }
    assert_eq!(hand(&edge, Handshake::Leave, &event, false), Ok(json!({})));
    assert_eq!(hand(&edge, Handshake::Knock, &event, false), Ok(json!({ "knock_room_state": [{ "state": 1 }] })));
    let large = json!({ "type": "x".repeat(80_000) });
    assert_eq!(code(hand(&edge, Handshake::Join, &large, false)), (413, "M_TOO_LARGE".to_owned()));
}
