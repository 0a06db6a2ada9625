//! What other servers send: which rooms are told, with which keys, and what the sender hears of it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod edge;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use edge::{Edge, code, config};
use serde_json::{Value, json};
use tern_edge::federation::{
    event_keys::Signers,
    in_flight::InFlight,
    key_cache::KeyCache,
    transaction::{self, Transaction},
};
use tern_model::{Config, MatrixError, Millis, Name, RawJson};
use tern_ports::{
    Clock, Unreachable,
    wire::{
        RoomCommand, UserCommand,
        receive::{PduResult, Receipted, ReceiveEvents},
        server_keys::StoredServerKey,
    },
};
use tern_testkit::{
    network::{error_reply, lost, reply},
    peer::Peer,
};

const DAY: u64 = 86_400_000;
const A: &str = "!a:example.org";
const B: &str = "!b:example.org";

/// The proxy, and a server that is known to it.
struct Scene {
    edge: Edge,
    config: Config,
    cache: KeyCache,
    strangers: Cell<u32>,
}

fn peer(name: &str) -> Peer {
    Peer::new(name, "ed25519:1", 1)
}

/// What the room of the command says of each of its events.
fn all(ask: &ReceiveEvents, result: &PduResult) -> Vec<Receipted> {
    let id = |event: &RawJson| event.read::<Value>().unwrap()["event_id"].as_str().unwrap().try_into().unwrap();
    ask.events.iter().map(|event| Receipted { event_id: Some(id(event)), result: result.clone() }).collect()
}

impl Scene {
    /// Rooms answer as `result` says.
    fn new(result: PduResult) -> Self {
        let scene =
            Self { edge: Edge::new(), config: config(), cache: KeyCache::default(), strangers: Cell::default() };
        scene.knows("far.org");
        scene.edge.hubs.rooms(move |_, command| match command {
            RoomCommand::ReceiveEvents(ask) => reply(all(&ask, &result)),
            other => Err(Unreachable(format!("unexpected {}", other.name()))),
        });
        scene
    }

    fn knows(&self, name: &str) {
        let peer = peer(name);
        let (key_id, key) = (Name::cut(peer.key.id.clone()), Name::cut(peer.key.public().text()));
        let key = StoredServerKey { key_id, key, valid_until: self.edge.now().plus(DAY), expired: false };
        self.edge.servers.borrow_mut().insert(name.to_owned(), vec![key]);
    }

    fn send(&self, pdus: &[Value]) -> Result<Value, MatrixError> {
        let transaction: Transaction = serde_json::from_value(json!({ "pdus": pdus })).unwrap();
        let admit = || {
            self.strangers.set(self.strangers.get() + 1);
            Ok(())
        };
        let origin = "far.org".try_into().unwrap();
        let received = transaction::receive(&self.edge, &self.config, &self.cache, origin, transaction, admit);
        self.edge.run(received)
    }

    /// The rooms that were told, each with how many events and the servers whose keys came along.
    fn told(&self) -> Vec<(String, usize, Vec<String>)> {
        let mut told: Vec<_> = self
            .edge
            .hubs
            .sent_to_rooms()
            .into_iter()
            .map(|(room_id, command)| {
                let RoomCommand::ReceiveEvents(ask) = command else { panic!("{}", command.name()) };
                assert_eq!((ask.origin.as_str(), &ask.version), ("far.org", &None));
                let keys = ask.keys.iter().map(|key| key.server_name.to_string()).collect();
                (room_id.to_string(), ask.events.len(), keys)
            })
            .collect();
        told.sort();
        told
    }
}

/// An event that says so much of itself as the proxy looks at.
fn event(room_id: &str, id: &str, sender: &str) -> Value {
    let server = sender.split_once(':').unwrap().1;
    json!({
        "room_id": room_id, "event_id": id, "sender": sender, "type": "m.room.message", "content": {},
        "origin_server_ts": 1, "signatures": { server: { "ed25519:1": "sig" } },
    })
}

fn eve(room_id: &str, id: &str) -> Value {
    event(room_id, id, "@eve:far.org")
}

#[test]
fn each_room_is_told_once_with_the_keys_of_those_who_signed() {
    let scene = Scene::new(PduResult::Accepted);
    let sent = vec![eve(A, "$1:far.org"), eve(B, "$2:far.org"), eve(A, "$3:far.org")];
    let answer = scene.send(&sent).unwrap();
    assert_eq!(answer, json!({ "pdus": { "$1:far.org": {}, "$2:far.org": {}, "$3:far.org": {} } }));
    let far = vec!["far.org".to_owned()];
    assert_eq!(scene.told(), [(A.to_owned(), 2, far.clone()), (B.to_owned(), 1, far)]);
    assert_eq!(scene.send(&sent), Ok(answer), "once more: the same answer");
    assert_eq!(scene.edge.fetches.get(), scene.strangers.get(), "whoever is asked for was let in");
    assert_eq!(scene.send(&[]), Ok(json!({ "pdus": {} })));
}

#[test]
fn the_user_hears_of_an_invite_that_its_server_takes_back() {
    let scene = Scene::new(PduResult::Accepted);
    scene.edge.hubs.rooms(|_, _| error_reply(MatrixError::not_found("There is no such room")));
    let told = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&told);
    scene.edge.hubs.users(move |user_id, command| {
        let UserCommand::RejectInvite(ask) = command else { panic!("{}", command.name()) };
        heard.borrow_mut().push((user_id.to_string(), ask.withdrawal.unwrap().auth_events.len()));
        error_reply(MatrixError::not_found("There is no such invite"))
    });
    let removal = |id: &str, sender: &str, target: &str, membership: &str| {
        let mut event = event(A, id, sender);
        event["type"] = json!("m.room.member");
        event["state_key"] = json!(target);
        event["content"] = json!({ "membership": membership });
        event["auth_events"] = json!(["$create", "$invite"]);
        event
    };
    let answer = scene.send(&[
        removal("$1:far.org", "@eve:far.org", "@alice:example.org", "leave"),
        removal("$2:far.org", "@eve:far.org", "@bob:example.org", "ban"),
        removal("$3:far.org", "@eve:far.org", "@carol:example.org", "invite"),
        removal("$4:far.org", "@eve:far.org", "@zoe:far.org", "leave"),
        removal("$5:far.org", "@eve:third.org", "@dan:example.org", "leave"),
    ]);
    assert_eq!(answer.unwrap()["pdus"].as_object().unwrap().len(), 5);
    assert_eq!(told.take(), [("@alice:example.org".to_owned(), 2), ("@bob:example.org".to_owned(), 2)]);
    // As long as that may have been lost, the transaction is repeated.
    scene.edge.hubs.users(|_, _| lost());
    let sent = [removal("$1:far.org", "@eve:far.org", "@alice:example.org", "leave")];
    assert_eq!(scene.send(&sent).unwrap_err().status, 503);
}

#[test]
fn what_is_said_of_an_event_is_what_became_of_it() {
    let missing = PduResult::Missing(vec!["$0".try_into().unwrap()]);
    let error = |reason: &str| json!({ "error": reason });
    for (result, said) in [
        (PduResult::Accepted, json!({})),
        (missing, json!({})),
        (PduResult::Deferred("later".to_owned()), json!({})),
        (PduResult::SoftFailed("not now".to_owned()), json!({})),
        (PduResult::Rejected("not allowed".to_owned()), error("not allowed")),
        (PduResult::Dropped("not signed".to_owned()), error("not signed")),
    ] {
        let answer = Scene::new(result).send(&[eve(A, "$1:far.org")]).unwrap();
        assert_eq!(answer, json!({ "pdus": { "$1:far.org": said } }));
    }
}

#[test]
fn a_bad_event_is_no_bad_transaction() {
    let scene = Scene::new(PduResult::Accepted);
    let mut nowhere = eve(A, "$2:far.org");
    nowhere.as_object_mut().unwrap().remove("room_id");
    let sent = vec![eve(A, "$1:far.org"), nowhere, json!(5), json!({ "room_id": 5 }), json!({ "n": 1.5 })];
    let answer = scene.send(&sent).unwrap()["pdus"].clone();
    assert_eq!(
        (answer["$1:far.org"].clone(), answer["$2:far.org"]["errcode"].clone()),
        (json!({}), json!("M_BAD_JSON"))
    );
    assert_eq!(answer.as_object().unwrap().len(), 2, "what has no id is left out: {answer}");
}

#[test]
fn a_room_that_takes_nothing_says_so_of_each_event_and_one_that_is_out_has_all_repeated() {
    let sent = || vec![eve(A, "$1:far.org"), eve(B, "$2:far.org")];
    let with = |answer: fn() -> Result<Vec<u8>, Unreachable>| {
        let scene = Scene::new(PduResult::Accepted);
        scene.edge.hubs.rooms(move |room_id, command| match command {
            RoomCommand::ReceiveEvents(ask) if room_id == A => reply(all(&ask, &PduResult::Accepted)),
            _ => answer(),
        });
        scene.send(&sent())
    };
    let refused = with(|| error_reply(MatrixError::forbidden("The room keeps this server out"))).unwrap();
    assert_eq!(refused["pdus"]["$1:far.org"], json!({}));
    assert_eq!(refused["pdus"]["$2:far.org"]["errcode"], "M_FORBIDDEN");
    let unknown = with(|| error_reply(MatrixError::not_found("There is no such room"))).unwrap();
    assert_eq!(unknown["pdus"]["$2:far.org"]["errcode"], "M_NOT_FOUND");
    assert_eq!(code(with(|| error_reply(MatrixError::internal()))).0, 500);
    assert_eq!(code(with(lost)).0, 503);
    assert_eq!(code(with(|| error_reply(MatrixError::limit_exceeded(5)))), (429, "M_LIMIT_EXCEEDED".to_owned()));
}

#[test]
fn more_than_there_may_be_is_refused_as_a_whole() {
    let read = |pdus: usize, edus: usize| {
        let body = json!({ "origin": "far.org", "pdus": vec![json!({}); pdus], "edus": vec![json!({}); edus] });
        serde_json::from_value::<Transaction>(body)
    };
    assert!(read(50, 100).is_ok());
    assert!(read(51, 0).is_err());
    assert!(read(0, 101).is_err(), "a success would have the sender forget the rest");
    assert!(serde_json::from_value::<Transaction>(json!({ "edus": [] })).is_err(), "there has to be a list of events");
}

fn keys_for(scene: &Scene, event: &Value) -> Result<Vec<String>, MatrixError> {
    let mut signers = Signers::default();
    signers.add(&RawJson::from_value(event).unwrap(), scene.edge.now());
    let keys = scene.edge.run(signers.keys(&scene.edge, &scene.config, &scene.cache, || Ok(())))?;
    Ok(keys.iter().map(|key| format!("{} {}", key.server_name, key.key_id)).collect())
}

#[test]
fn keys_are_had_of_everybody_who_may_have_to_sign() {
    let scene = Scene::new(PduResult::Accepted);
    scene.knows("third.org");
    let mut join = eve(A, "$1:third.org");
    join["content"] = json!({ "join_authorised_via_users_server": "@alice:example.org" });
    join["signatures"] = json!({
        "far.org": { "ed25519:1": "s", "ed25519:gone": "s" }, "third.org": { "ed25519:1": "s" },
        "example.org": { "ed25519:a": "s" }, "stranger.org": { "ed25519:1": "s" },
    });
    let mut found = keys_for(&scene, &join).unwrap();
    found.sort();
    assert_eq!(found, ["example.org ed25519:a", "far.org ed25519:1", "third.org ed25519:1"]);
    assert_eq!(scene.edge.fetches.get(), 2, "neither is this server asked for its own, nor whoever need not sign");
    // Of a server that has no such key nobody asks again at once.
    keys_for(&scene, &join).unwrap();
    assert_eq!(scene.edge.fetches.get(), 2);
    // An event of another form needs nobody.
    assert_eq!(keys_for(&scene, &json!({ "sender": "@eve:far.org" })), Ok(Vec::new()));
    let nobody = event(A, "$2", "@eve:dead.org");
    assert_eq!(keys_for(&scene, &nobody), Ok(Vec::new()), "a server that cannot be asked has none");
}

#[test]
fn one_transaction_of_a_server_at_a_time() {
    let (all, far) = (InFlight::default(), "far.org".try_into().unwrap());
    let first = all.enter(far, Millis(1_000)).unwrap();
    assert_eq!(code(all.enter(far, Millis(2_000)).map(drop)), (429, "M_LIMIT_EXCEEDED".to_owned()));
    assert!(all.enter("other.org".try_into().unwrap(), Millis(2_000)).is_ok());
    drop(first);
    let lost = all.enter(far, Millis(3_000)).unwrap();
    // One that was broken off does not keep its server out for ever, nor does its end let a third in.
    let second = all.enter(far, Millis(63_000)).unwrap();
    drop(lost);
    assert!(all.enter(far, Millis(64_000)).is_err());
    drop(second);
    assert!(all.enter(far, Millis(64_000)).is_ok());
}
