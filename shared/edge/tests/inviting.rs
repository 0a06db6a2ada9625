//! Invites of users of other servers: their server signs first, and nothing happens where it does not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod edge;

use std::{cell::RefCell, rc::Rc};

use edge::{Edge, code, config};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, room_id,
    signatures::{Ed25519KeyPair, sign_event},
    user_id,
};
use serde_json::{Value, json};
use tern_edge::{
    create::create_room,
    join::{self, MembershipChange},
};
use tern_model::{EventRef, MatrixError, MembershipAction, Name, RawJson};
use tern_ports::{
    Clock, Unreachable,
    wire::{
        DestinationCommand, RoomCommand, UserCommand,
        destination::RemoteAnswer,
        invite::{PrepareInvite, PreparedInvite},
        receive::{PduResult, Receipted, ReceiveEvents},
        room::{Draft, Sent},
        server_keys::StoredServerKey,
        user::Profile,
    },
};
use tern_room::Version;
use tern_testkit::{
    network::{error_reply, reply},
    peer::Peer,
};

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

#[derive(Clone, Default)]
struct Seen {
    prepared: Rc<RefCell<Vec<PrepareInvite>>>,
    taken: Rc<RefCell<Vec<ReceiveEvents>>>,
    sent: Rc<RefCell<Vec<(String, Value)>>>,
}

/// The invite as the room's hub has made it.
fn made() -> Value {
    json!({
        "type": "m.room.member", "content": { "membership": "invite" },
        "hashes": { "sha256": "hash" }, "signatures": { "example.org": { "k": "s" } },
    })
}

/// What far.org answers that signs this event with the key of this seed.
fn signing(event: &Value, seed: u8) -> Value {
    const PKCS8_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    let key = Ed25519KeyPair::from_der(&[&PKCS8_PREFIX[..], &[seed; 32]].concat(), "1".to_owned()).unwrap();
    let mut object: CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
    sign_event("far.org", &key, &mut object, &Version::known("11").unwrap().rules.redaction).unwrap();
    let signatures = serde_json::to_value(CanonicalJsonValue::from(object)).unwrap()["signatures"]["far.org"].clone();
    json!({ "event": { "content": { "membership": "ban" }, "signatures": { "far.org": signatures, "x.org": {} } } })
}

/// The proxy, a room that takes what it is given, and far.org, which answers this.
fn scene(status: u16, answer: Value, result: PduResult) -> (Edge, Seen) {
    let (edge, seen) = (Edge::new(), Seen::default());
    let peer = Peer::new("far.org", "ed25519:1", 1);
    let (key_id, key) = (Name::cut(peer.key.id.clone()), Name::cut(peer.key.public().text()));
    let key = StoredServerKey { key_id, key, valid_until: edge.now().plus(86_400_000), expired: false };
    edge.servers.borrow_mut().insert("far.org".to_owned(), vec![key]);
    let now = seen.clone();
    edge.hubs.rooms(move |_, command| match command {
        RoomCommand::PrepareInvite(ask) => {
            now.prepared.borrow_mut().push(*ask);
            reply(Some(PreparedInvite {
                version: Name::cut("11"),
                event_id: EventRef::try_from("$invite").unwrap(),
                event: raw(&made()),
                shown: vec![raw(&json!({ "type": "m.room.create" }))],
            }))
        }
        RoomCommand::ReceiveEvents(ask) => {
            now.taken.borrow_mut().push(*ask);
            reply(vec![Receipted { event_id: None, result: result.clone() }])
        }
        RoomCommand::CreateRoom(_) => reply(Sent { event_id: "$create".try_into().unwrap() }),
        RoomCommand::ChangeMembership(_) => reply(Sent { event_id: "$leave".try_into().unwrap() }),
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

/// The right signature, beside others that nobody can look at.
fn signed() -> Value {
    let mut answer = signing(&made(), 1);
    answer["event"]["signatures"]["far.org"]["ed25519:0"] = json!({ "not": "a signature" });
    answer
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
    let mut expected = made();
    expected["signatures"]["far.org"] = signing(&made(), 1)["event"]["signatures"]["far.org"].clone();
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
        (200, json!({ "event": { "signatures": { "far.org": {} } } }), (502, "M_UNKNOWN")),
        (200, json!({ "event": { "signatures": { "far.org": { "f": "t" } } } }), (502, "M_UNKNOWN")),
        (200, json!({ "event": { "signatures": { "far.org": { "ed25519:1": 5 } } } }), (502, "M_UNKNOWN")),
        // Another key than it has, another event.
        (200, signing(&made(), 2), (502, "M_UNKNOWN")),
        (200, signing(&json!({ "type": "m.room.member", "content": { "membership": "join" } }), 1), (502, "M_UNKNOWN")),
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
fn a_state_event_that_invites_somebody_elsewhere_is_sent_as_an_invite() {
    let (edge, seen) = scene(200, signed(), PduResult::Accepted);
    let draft = |target: &str, membership: &str| Draft {
        sender: user_id!("@alice:example.org").to_owned(),
        kind: "m.room.member".to_owned(),
        state_key: Some(target.to_owned()),
        content: raw(&json!({ "membership": membership, "reason": "why", "org.example": 1 })),
        redacts: None,
    };
    let put = |draft: Draft| {
        let (room_id, config) = (room_id!("!r:example.org"), config());
        let Some(target) = join::invited_elsewhere(&config, &draft) else { return Ok(None) };
        let sent = edge.run(join::invite_elsewhere(&edge, &config, room_id, (&draft, target)));
        sent.map(|sent| Some(sent.event_id.to_string()))
    };
    assert_eq!(put(draft("@eve:far.org", "invite")), Ok(Some("$invite".to_owned())));
    let content: Value = seen.prepared.borrow()[0].content.as_ref().unwrap().read().unwrap();
    assert_eq!((&content["reason"], &content["org.example"]), (&json!("why"), &json!(1)));
    assert_eq!((seen.taken.take().len(), seen.sent.take().len()), (1, 1));
    for other in [draft("@bob:example.org", "invite"), draft("@eve:far.org", "ban"), draft("nobody", "invite")] {
        assert_eq!(put(other), Ok(None), "the room's own business");
    }
    assert_eq!(code(put(draft("@eve:away.org", "invite"))), (502, "M_UNREACHABLE".to_owned()));
}

fn create(edge: &Edge, body: Value) -> Result<(), MatrixError> {
    let request = serde_json::from_value(body).unwrap();
    edge.run(create_room(edge, &config(), user_id!("@alice:example.org"), &request)).map(drop)
}

/// The creator is out of the room again.
fn is_left(edge: &Edge) -> bool {
    edge.hubs.sent_to_rooms().iter().any(|(_, command)| match command {
        RoomCommand::ChangeMembership(change) => change.action == MembershipAction::Leave,
        _ => false,
    })
}

#[test]
fn a_new_room_to_which_nobody_can_be_invited_is_undone() {
    let refusal = json!({ "errcode": "M_INVITE_BLOCKED", "error": "no" });
    let (edge, seen) = scene(403, refusal.clone(), PduResult::Accepted);
    let nobody = json!({ "invite": ["@gone:away.org", "@eve:far.org"], "preset": "private_chat" });
    assert_eq!(code(create(&edge, nobody)), (502, "M_UNREACHABLE".to_owned()));
    assert!(is_left(&edge) && seen.taken.take().is_empty());
    for others in [
        json!({ "invite": ["@eve:far.org", "@bob:example.org"] }),
        json!({ "invite": ["@eve:far.org"], "room_alias_name": "nest" }),
        json!({ "invite": ["@eve:far.org"], "visibility": "public" }),
        json!({ "preset": "private_chat" }),
    ] {
        let (edge, _) = scene(403, refusal.clone(), PduResult::Accepted);
        edge.hubs.users(|_, command| match command {
            UserCommand::ReadInvitee(_) => reply(Profile::default()),
            _ => error_reply(MatrixError::not_found("Unknown user")),
        });
        assert_eq!(create(&edge, others), Ok(()));
        assert!(!is_left(&edge), "others come in");
    }
}

#[test]
fn whom_nobody_may_ask_is_known_before_a_room_is_made() {
    let (edge, _) = scene(200, signed(), PduResult::Accepted);
    let mut closed = config();
    closed.federation.denied = ["far.org".try_into().unwrap()].into();
    let request = serde_json::from_value(json!({ "invite": ["@eve:far.org"] })).unwrap();
    let made = edge.run(create_room(&edge, &closed, user_id!("@alice:example.org"), &request));
    assert_eq!(code(made), (403, "M_FORBIDDEN".to_owned()));
    assert!(edge.hubs.sent_to_rooms().is_empty());
}

#[test]
fn a_new_room_invites_users_of_other_servers_once_it_is_there() {
    let (edge, seen) = scene(200, signed(), PduResult::Accepted);
    let body =
        json!({ "invite": ["@eve:far.org", "@gone:away.org"], "is_direct": true, "preset": "trusted_private_chat" });
    assert_eq!(create(&edge, body), Ok(()));
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
    assert!(!is_left(&edge), "somebody is invited");
}

#[test]
fn whom_a_new_room_bans_elsewhere_is_not_invited() {
    let (edge, seen) = scene(200, signed(), PduResult::Accepted);
    let ban = json!({ "type": "m.room.member", "state_key": "@eve:far.org", "content": { "membership": "ban" } });
    assert_eq!(create(&edge, json!({ "initial_state": [ban] })), Ok(()));
    assert!(seen.prepared.take().is_empty());
    let rooms = edge.hubs.sent_to_rooms();
    let RoomCommand::CreateRoom(create) = &rooms[0].1 else { unreachable!("nothing else is asked") };
    assert!(create.drafts.iter().any(|draft| draft.state_key.as_deref() == Some("@eve:far.org")), "the ban goes along");
}
