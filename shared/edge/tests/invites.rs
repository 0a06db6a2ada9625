//! Invites of users here by those of other servers: what is looked at, and what the user's hub is told.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod edge;

use std::{cell::RefCell, rc::Rc};

use edge::{Edge, code, config};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, RoomId,
    signatures::{Ed25519KeyPair, hash_and_sign_event, reference_hash},
};
use serde_json::{Value, json};
use tern_edge::{
    federation::{
        invite::{self, SentInvite},
        key_cache::KeyCache,
    },
    join::{self, MembershipChange},
};
use tern_model::{Config, MatrixError, MembershipAction, Name, RawJson};
use tern_ports::{
    Clock, Unreachable,
    wire::{
        DestinationCommand, Done, RoomCommand, UserCommand,
        destination::RemoteAnswer,
        invite::{DeliverInvite, InvitePlace, Inviters},
        server_keys::StoredServerKey,
        user::Profile,
    },
};
use tern_room::Version;
use tern_testkit::{
    network::{error_reply, reply},
    peer::Peer,
};

const ALICE: &str = "@alice:example.org";
const EVE: &str = "@eve:far.org";
const ROOM: &str = "!room:far.org";
const PKCS8_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

/// An event that far.org has hashed and signed.
fn seal(event: &Value) -> (OwnedEventId, Value) {
    let key = Ed25519KeyPair::from_der(&[&PKCS8_PREFIX[..], &[1; 32]].concat(), "1".to_owned()).unwrap();
    let rules = &Version::known("11").unwrap().rules;
    let mut object: CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
    hash_and_sign_event("far.org", &key, &mut object, &rules.redaction).unwrap();
    let event_id = format!("${}", reference_hash(&object, rules).unwrap()).try_into().unwrap();
    (event_id, serde_json::to_value(CanonicalJsonValue::from(object)).unwrap())
}

fn bare() -> Value {
    json!({
        "type": "m.room.member", "state_key": ALICE, "sender": EVE, "room_id": ROOM, "content": { "membership": "invite" },
        "origin_server_ts": 1, "depth": 5, "prev_events": ["$before"], "auth_events": ["$create"],
    })
}

fn bent(name: &str, value: Value) -> (OwnedEventId, Value) {
    let mut event = bare();
    event[name] = value;
    seal(&event)
}

struct Scene {
    edge: Edge,
    config: Config,
    cache: KeyCache,
}

impl Scene {
    /// Alice is here; the room is not, or somebody of this server is in it.
    fn new(here: bool) -> Self {
        let edge = Edge::new();
        let peer = Peer::new("far.org", "ed25519:1", 1);
        let (key_id, key) = (Name::cut(peer.key.id.clone()), Name::cut(peer.key.public().text()));
        let key = StoredServerKey { key_id, key, valid_until: edge.now().plus(86_400_000), expired: false };
        edge.servers.borrow_mut().insert("far.org".to_owned(), vec![key]);
        edge.hubs.rooms(move |_, command| match command {
            RoomCommand::CheckInvite(_) => reply(InvitePlace { here }),
            RoomCommand::ChangeMembership(_) => error_reply(MatrixError::forbidden("no room")),
            other => Err(Unreachable(format!("unexpected {}", other.name()))),
        });
        edge.hubs.users(|user_id, command| match command {
            UserCommand::ReadInvitee(ask) if ask.inviter.localpart() == "foe" => {
                error_reply(MatrixError::new(403, "M_INVITE_BLOCKED", "no"))
            }
            UserCommand::ReadInvitee(_) if user_id == ALICE => reply(Profile::new()),
            UserCommand::ReadInvitee(_) => error_reply(MatrixError::not_found("Unknown user")),
            UserCommand::DeliverInvite(_) => reply(Done {}),
            UserCommand::RejectInvite(ask) if ask.room_id == ROOM => reply(Done {}),
            UserCommand::ListInviters(ask) if ask.room_id == ROOM => {
                reply(Inviters::cut(vec!["far.org".try_into().unwrap()]))
            }
            UserCommand::RejectInvite(_) | UserCommand::ListInviters(_) => {
                error_reply(MatrixError::not_found("no such invite"))
            }
            other => Err(Unreachable(format!("unexpected {}", other.name()))),
        });
        Self { edge, config: config(), cache: KeyCache::default() }
    }

    fn invite_in(&self, version: &str, (event_id, event): (OwnedEventId, Value)) -> Result<Value, MatrixError> {
        let shown = [
            json!({ "type": "m.room.name", "state_key": "", "sender": EVE, "content": { "name": "Far" }, "depth": 3 }),
            json!({ "type": "m.room.topic", "state_key": "", "sender": EVE, "content": "x".repeat(20_000) }),
            json!({ "type": "m.room.member", "state_key": ALICE, "sender": "@other:far.org", "content": {} }),
            json!(5),
        ];
        let sent = SentInvite {
            room_id: <&RoomId>::try_from(ROOM).unwrap(),
            event_id,
            room_version: version.to_owned(),
            event: raw(&event),
            shown: shown.iter().map(raw).collect(),
        };
        let origin = "far.org".try_into().unwrap();
        self.edge.run(invite::receive(&self.edge, &self.config, &self.cache, origin, sent, || Ok(())))
    }

    fn invite(&self, event: (OwnedEventId, Value)) -> Result<Value, MatrixError> {
        self.invite_in("11", event)
    }

    fn delivered(&self) -> Vec<DeliverInvite> {
        let sent = self.edge.hubs.sent_to_users().into_iter();
        let invite = |command| if let UserCommand::DeliverInvite(invite) = command { Some(*invite) } else { None };
        sent.filter_map(|(_, command)| invite(command)).collect()
    }
}

#[test]
fn an_invite_is_signed_and_the_user_is_told() {
    let scene = Scene::new(false);
    let (event_id, event) = seal(&bare());
    let answer = scene.invite((event_id.clone(), event.clone())).unwrap()["event"].clone();
    assert_eq!(answer["signatures"]["far.org"], event["signatures"]["far.org"]);
    assert!(answer["signatures"]["example.org"]["ed25519:a"].is_string(), "{answer}");
    let told = scene.delivered();
    assert_eq!((told.len(), &*told[0].event_id, told[0].ts.0), (1, &event_id, 1));
    assert_eq!(told[0].event.read::<Value>().unwrap(), answer);
    let shown: Vec<Value> = told[0].stripped.iter().map(|event| event.read().unwrap()).collect();
    let kinds: Vec<_> = shown.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["m.room.name", "m.room.member"], "what is too long or no event is left out");
    assert_eq!((shown[0].get("depth"), &shown[1]["sender"]), (None, &json!(EVE)), "stripped, with who invites");
}

#[test]
fn a_room_that_is_here_tells_of_its_invites_itself() {
    let scene = Scene::new(true);
    assert!(scene.invite(seal(&bare())).is_ok());
    assert!(scene.delivered().is_empty());
}

#[test]
fn whatever_is_wrong_with_an_invite_has_its_name() {
    let scene = Scene::new(false);
    let invalid = || (400, "M_INVALID_PARAM".to_owned());
    let (event_id, event) = seal(&bare());
    let mut unsigned = event.clone();
    unsigned["signatures"]["far.org"]["ed25519:1"] = json!("AAAA");
    let mut altered = event.clone();
    altered["content"]["displayname"] = json!("Mallory");
    for (sent, expected) in [
        (("$other".try_into().unwrap(), event.clone()), invalid()),
        ((event_id.clone(), unsigned), invalid()),
        ((event_id.clone(), altered), invalid()),
        ((event_id.clone(), json!({})), (400, "M_BAD_JSON".to_owned())),
        (bent("room_id", json!("!other:far.org")), invalid()),
        (bent("content", json!({ "membership": "join" })), invalid()),
        (bent("type", json!("m.room.message")), invalid()),
        (bent("state_key", json!("@bob:other.org")), invalid()),
        (bent("state_key", json!("@nobody:example.org")), (404, "M_NOT_FOUND".to_owned())),
        (bent("sender", json!("@eve:other.org")), (403, "M_FORBIDDEN".to_owned())),
        (bent("sender", json!("@foe:far.org")), (403, "M_INVITE_BLOCKED".to_owned())),
    ] {
        assert_eq!(code(scene.invite(sent.clone())), expected, "{}", sent.1);
    }
    let unsupported = (400, "M_UNSUPPORTED_ROOM_VERSION".to_owned());
    assert_eq!(code(scene.invite_in("99", (event_id, event))), unsupported);
    scene.edge.hubs.rooms(|_, _| error_reply(MatrixError::forbidden("The room keeps this server out")));
    assert_eq!(code(scene.invite(seal(&bare()))), (403, "M_FORBIDDEN".to_owned()));
    assert!(scene.delivered().is_empty());
}

#[test]
fn whoever_leaves_a_room_that_is_not_here_rejects_its_invite() {
    let scene = Scene::new(false);
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&asked);
    scene.edge.hubs.destinations(move |server, command| {
        let DestinationCommand::SendRequest(ask) = command else { return Err(Unreachable("keys".to_owned())) };
        seen.borrow_mut().push(format!("{server} {}", ask.target.as_str()));
        let template = json!({ "room_version": "11", "event": {
            "type": "m.room.member", "room_id": ROOM, "sender": ALICE, "state_key": ALICE,
            "content": { "membership": "leave" }, "prev_events": ["$p"], "auth_events": ["$a"], "depth": 3,
        }});
        let body = if ask.body.is_some() { json!({}) } else { template };
        reply(RemoteAnswer { status: 200, body: Some(raw(&body)), retry_after_ms: None })
    });
    let leave = |room_id: &str, action| {
        let caller = ALICE.try_into().unwrap();
        let change = MembershipChange { caller, action, target: caller, reason: None };
        let room_id = <&RoomId>::try_from(room_id).unwrap();
        scene.edge.run(join::change(&scene.edge, &scene.config, room_id, change))
    };
    assert_eq!(leave(ROOM, MembershipAction::Leave), Ok(()));
    let asked = asked.take();
    assert!(asked[0].starts_with("far.org /_matrix/federation/v1/make_leave/%21"), "{asked:?}");
    assert!(asked[1].starts_with("far.org /_matrix/federation/v2/send_leave/%21"), "{asked:?}");
    // Whether the other server hears of it or not.
    scene.edge.hubs.destinations(|_, _| error_reply(MatrixError::new(502, "M_UNREACHABLE", "away")));
    assert_eq!(leave(ROOM, MembershipAction::Leave), Ok(()));
    assert_eq!(code(leave("!unknown:far.org", MembershipAction::Leave)), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(code(leave(ROOM, MembershipAction::Ban)).0, 403, "nothing else is done this way");
}
