//! Keys and to-device messages between servers, as far as it happens in the proxy.

#![expect(clippy::unwrap_used, reason = "tests")]

mod edge;

use std::collections::BTreeMap;

use edge::{Edge, code, config};
use ruma::{OwnedUserId, user_id};
use serde_json::{Value, json};
use tern_edge::{
    federation::{
        key_cache::KeyCache,
        transaction::{self, Transaction},
    },
    keys::{self, Query},
    to_device,
};
use tern_model::{Caller, MatrixError, RawJson, StreamPos};
use tern_ports::{
    Target,
    wire::{
        DestinationCommand, Done, RoomCommand, UserCommand,
        destination::RemoteAnswer,
        frame,
        keys::{FoundKeys, OwnKeys, PublicKeys, RemoteUser},
        policy::Standing,
        remote_keys::RemoteKeys,
        user::{DeliverToDevice, SessionRef},
    },
};
use tern_testkit::network::{error_reply, lost, reply};

fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

/// The commands that objects of other servers were sent, with the names of the servers.
fn sent_to_servers(edge: &Edge) -> Vec<(String, DestinationCommand)> {
    let sent = edge.hubs.take_sent().into_iter();
    sent.filter_map(|(target, bytes)| match target {
        Target::Destination(name) => Some((name.to_string(), frame::read(&bytes).unwrap())),
        _ => None,
    })
    .collect()
}

fn receive(edge: &Edge, edus: &[Value]) -> Result<Value, MatrixError> {
    edge.standing.set(Standing::Nobody);
    let transaction: Transaction = serde_json::from_value(json!({ "pdus": [], "edus": edus })).unwrap();
    let origin = "far.org".try_into().unwrap();
    let cache = KeyCache::default();
    edge.run(transaction::receive(edge, &config(), &cache, origin, transaction, || Ok(())))
}

fn message(id: &str, sender: &str, messages: &Value) -> Value {
    let content = json!({ "message_id": id, "sender": sender, "type": "m.room.encrypted", "messages": messages });
    json!({ "edu_type": "m.direct_to_device", "content": content })
}

fn delivered(edge: &Edge) -> Vec<(OwnedUserId, DeliverToDevice)> {
    let sent = edge.hubs.sent_to_users().into_iter();
    sent.filter_map(|(user_id, command)| match command {
        UserCommand::DeliverToDevice(delivery) => Some((user_id, *delivery)),
        _ => None,
    })
    .collect()
}

#[test]
fn to_device_messages_of_a_server_go_to_users_here_in_order() {
    let edge = Edge::new();
    edge.hubs.users(|_, _| reply(Done {}));
    let eve = "@eve:far.org";
    let sent = [
        message("1", eve, &json!({ "@a:example.org": { "*": { "n": 1 } }, "@b:example.org": { "D": { "n": 1 } } })),
        json!({ "edu_type": "m.direct_to_device", "content": { "sender": eve } }),
        message("2", "@mallory:third.org", &json!({ "@a:example.org": { "*": {} } })),
        message("3", eve, &json!({ "@c:third.org": { "*": {} }, "nobody": { "*": {} } })),
        json!("no EDU"),
        json!({ "edu_type": "org.example.new", "content": {} }),
        message("4", "@EVE:FAR.org", &json!({ "@a:example.org": { "D": { "n": 2 }, "E": "no object" } })),
    ];
    assert_eq!(receive(&edge, &sent), Ok(json!({ "pdus": {} })));
    let to_a: Vec<_> = delivered(&edge).into_iter().filter(|(to, _)| to == user_id!("@a:example.org")).collect();
    let ids: Vec<_> = to_a.iter().map(|(_, one)| (one.txn_id.as_str(), one.kind.as_str())).collect();
    assert_eq!(ids, [("1", "m.room.encrypted"), ("4", "m.room.encrypted")]);
    assert_eq!(to_a[0].1.messages, BTreeMap::from([("*".to_owned(), raw(&json!({ "n": 1 })))]));
    assert_eq!(to_a[1].1.messages.len(), 1);
    assert_eq!(delivered(&edge).len(), 3, "and one to the other user here");
}

#[test]
fn a_hub_that_is_out_has_the_transaction_repeated_and_a_user_who_is_not_there_does_not() {
    let edge = Edge::new();
    let sent = [
        message("1", "@eve:far.org", &json!({ "@a:example.org": { "*": {} } })),
        message("2", "@eve:far.org", &json!({ "@a:example.org": { "*": {} } })),
    ];
    edge.hubs.users(|_, _| error_reply(MatrixError::not_found("There is no such user")));
    assert!(receive(&edge, &sent).is_ok());
    edge.hubs.take_sent();
    edge.hubs.users(|_, _| lost());
    assert_eq!(code(receive(&edge, &sent)).0, 503);
    assert_eq!(delivered(&edge).len(), 1, "what comes after it would overtake it");
}

#[test]
fn changed_devices_are_told_to_the_object_of_their_server_before_the_answer() {
    let edge = Edge::new();
    edge.hubs.destinations(|_, _| reply(Done {}));
    let changed = |kind: &str, user_id: &str| json!({ "edu_type": kind, "content": { "user_id": user_id } });
    let sent = [
        changed("m.device_list_update", "@eve:far.org"),
        changed("m.signing_key_update", "@eve:far.org"),
        changed("org.matrix.signing_key_update", "@ann:far.org"),
        changed("m.device_list_update", "@a:example.org"),
    ];
    assert!(receive(&edge, &sent).is_ok());
    let told = sent_to_servers(&edge);
    let [(server, DestinationCommand::NoteRemoteDevices(note))] = &*told else { panic!("{told:?}") };
    assert_eq!(server, "far.org");
    assert_eq!(*note.users, [user_id!("@ann:far.org").to_owned(), user_id!("@eve:far.org").to_owned()]);
    edge.hubs.destinations(|_, _| lost());
    assert_eq!(code(receive(&edge, &sent)).0, 503);
}

fn session() -> SessionRef {
    serde_json::from_value(json!({ "device_id": "PHONE", "session_id": "s" })).unwrap()
}

fn public(user_id: &str) -> PublicKeys {
    let device = |id: &str| json!({ "user_id": user_id, "device_id": id });
    let devices = raw(&json!({ "ONE": device("ONE"), "TWO": device("TWO") }));
    PublicKeys { devices, master: Some(raw(&json!({ "user_id": user_id }))), self_signing: None }
}

#[test]
fn keys_of_users_elsewhere_are_asked_of_their_servers_once_each_and_what_fails_is_named() {
    let edge = Edge::new();
    edge.hubs.users(|_, command| {
        let UserCommand::QueryOwnKeys(ask) = command else { panic!("{}", command.name()) };
        assert_eq!(ask.others.len(), 4, "signatures over all of them count");
        let shared = RemoteUser { user_id: "@eve:far.org".try_into().unwrap(), shared_at: Some(StreamPos(7)) };
        reply(OwnKeys { shared: vec![shared], ..OwnKeys::default() })
    });
    edge.hubs.destinations(|server, command| {
        let DestinationCommand::QueryRemoteKeys(ask) = command else { panic!("{}", command.name()) };
        if server == "dead.org" {
            return error_reply(MatrixError::new(502, "M_UNREACHABLE", "Nobody is there"));
        }
        let found = |user: &RemoteUser| {
            let keys = Some(public(user.user_id.as_str()));
            FoundKeys { user_id: user.user_id.clone(), keys, version: None }
        };
        reply(RemoteKeys { found: ask.users.iter().map(found).collect(), failure: None })
    });
    let wanted =
        [("@eve:far.org", vec![]), ("@Ann:FAR.org", vec!["TWO"]), ("@x:dead.org", vec![]), ("@b:example.org", vec![])];
    let wanted = wanted.into_iter().map(|(user_id, devices)| {
        (OwnedUserId::try_from(user_id).unwrap(), devices.into_iter().map(Into::into).collect())
    });
    let answer = edge.run(async {
        let mut query =
            Query::new(&edge, &config(), user_id!("@a:example.org"), session(), wanted.collect()).await.unwrap();
        let mut text = String::new();
        while !query.is_over() {
            text += &query.next(&edge).await.unwrap();
        }
        serde_json::from_str::<Value>(&text).unwrap()
    });
    let devices =
        |user_id: &str| answer["device_keys"][user_id].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        (devices("@eve:far.org"), devices("@Ann:FAR.org")),
        (vec!["ONE".to_owned(), "TWO".to_owned()], vec!["TWO".to_owned()])
    );
    assert_eq!(answer["master_keys"]["@eve:far.org"]["user_id"], "@eve:far.org");
    assert_eq!(answer["failures"]["dead.org"]["errcode"], "M_UNREACHABLE");
    assert_eq!(answer["failures"].as_object().unwrap().len(), 1);
    let asked = sent_to_servers(&edge);
    let far = asked.iter().find(|(server, _)| server == "far.org");
    let Some((_, DestinationCommand::QueryRemoteKeys(ask))) = far else { panic!("{asked:?}") };
    let shared: Vec<_> = ask.users.iter().map(|user| user.shared_at).collect();
    assert_eq!((asked.len(), shared), (2, vec![None, Some(StreamPos(7))]));
}

#[test]
fn one_time_keys_elsewhere_are_claimed_and_only_what_was_asked_for_is_taken() {
    let edge = Edge::new();
    edge.hubs.destinations(|server, command| {
        let DestinationCommand::SendRequest(ask) = command else { panic!("{}", command.name()) };
        assert_eq!((ask.target.as_str(), ask.timeout_ms), ("/_matrix/federation/v1/user/keys/claim", 10_000));
        let key = json!({ "signed_curve25519:A": { "key": "k" } });
        let said =
            json!({ "one_time_keys": { "@eve:far.org": { "D": key, "OTHER": key }, "@b:example.org": { "D": key } } });
        let status = if server == "far.org" { 200 } else { 500 };
        reply(RemoteAnswer { status, body: Some(raw(&said)), retry_after_ms: None })
    });
    let wanted = ["@eve:far.org", "@x:sick.org"].map(|user_id| {
        (OwnedUserId::try_from(user_id).unwrap(), BTreeMap::from([("D".into(), "signed_curve25519".to_owned())]))
    });
    let claimed = edge.run(keys::claim(&edge, &config(), BTreeMap::from(wanted))).unwrap();
    let claimed = serde_json::to_value(&claimed).unwrap();
    let key = json!({ "signed_curve25519:A": { "key": "k" } });
    assert_eq!(claimed["one_time_keys"], json!({ "@eve:far.org": { "D": key } }));
    assert_eq!(claimed["failures"]["sick.org"]["errcode"], "M_UNREACHABLE");
}

#[test]
fn messages_to_devices_elsewhere_are_handed_to_the_objects_of_their_servers_under_one_id() {
    let edge = Edge::new();
    edge.hubs.users(|_, _| reply(Done {}));
    edge.hubs.destinations(|_, _| reply(Done {}));
    let sender = Caller { user_id: "@a:example.org".try_into().unwrap(), device_id: "PHONE".into() };
    let send = |txn_id: &str| {
        let to = ["@eve:far.org", "@ann:FAR.org", "@x:other.org", "@b:example.org"];
        let to = to.map(|to| (to.try_into().unwrap(), BTreeMap::from([("D".to_owned(), raw(&json!({ "n": 1 })))])));
        edge.run(to_device::send(&edge, &config(), &sender, "m.x", txn_id, BTreeMap::from(to)))
    };
    let handed = || {
        let all = sent_to_servers(&edge).into_iter().map(|(server, command)| match command {
            DestinationCommand::SendToDevice(ask) => {
                let to: BTreeMap<String, Value> = ask.messages.read().unwrap();
                (server, ask.message_id.to_string(), to.into_keys().collect::<Vec<_>>())
            }
            other => panic!("{}", other.name()),
        });
        all.collect::<Vec<_>>()
    };
    assert_eq!(send("t"), Ok(()));
    let first = handed();
    let to: Vec<_> = first.iter().map(|(server, _, to)| (server.as_str(), to.len())).collect();
    assert_eq!(to, [("far.org", 2), ("other.org", 1)]);
    assert_eq!((send("t"), handed()), (Ok(()), first.clone()), "a request that is repeated has the same id");
    send("u").unwrap();
    assert_ne!(handed()[0].1, first[0].1);
    edge.hubs.destinations(|_, _| error_reply(MatrixError::limit_exceeded(5)));
    assert_eq!(code(send("v")).1, "M_LIMIT_EXCEEDED");
    edge.hubs.destinations(|_, _| lost());
    assert_eq!(code(send("v")).0, 503);
}

#[test]
fn typing_and_receipts_of_a_server_go_to_the_rooms_and_are_not_worth_a_repetition() {
    let edge = Edge::new();
    edge.hubs.rooms(|room_id, _| if room_id == "!a:x" { reply(Done {}) } else { lost() });
    let typing = |room_id: &str, user_id: &str| json!({ "edu_type": "m.typing", "content": { "room_id": room_id, "user_id": user_id, "typing": true } });
    let read = json!({ "data": { "ts": 5, "thread_id": "main" }, "event_ids": ["$1", "$2"] });
    let receipts =
        json!({ "!a:x": { "m.read": { "@eve:far.org": read, "@mallory:third.org": read, "@x:far.org": {} } } });
    let sent = [
        typing("!a:x", "@eve:far.org"),
        typing("!b:x", "@eve:far.org"),
        typing("!b:x", "@mallory:third.org"),
        json!({ "edu_type": "m.receipt", "content": { "!a:x": { "m.read": { "@ann:far.org": read }, "m.read.private": { "@ann:far.org": read } } } }),
        json!({ "edu_type": "m.receipt", "content": receipts }),
    ];
    assert!(receive(&edge, &sent).is_ok());
    let mut told: Vec<_> = edge
        .hubs
        .sent_to_rooms()
        .into_iter()
        .map(|(room_id, command)| {
            let RoomCommand::ReceiveEphemeral(news) = command else { panic!("{}", command.name()) };
            assert_eq!(news.origin, "far.org");
            let receipts: Vec<_> =
                news.receipts.iter().map(|one| (one.user_id.to_string(), one.event_id.to_string())).collect();
            (room_id.to_string(), news.typing.len(), receipts)
        })
        .collect();
    told.sort();
    let of_ann = ("@ann:far.org".to_owned(), "$2".to_owned());
    assert_eq!(told, [("!a:x".to_owned(), 1, vec![of_ann]), ("!b:x".to_owned(), 1, vec![])]);
}
