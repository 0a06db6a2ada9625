//! Who sends a request, and what other servers are told.

mod edge;

use std::{cell::Cell, collections::BTreeMap};

use edge::{Edge, code, config};
use serde_json::{Value, json};
use tern_edge::federation::{
    key_cache::KeyCache,
    notary,
    own_keys::{OwnKeys, check},
    queries, sender,
};
use tern_federation::{
    server_keys::{OWN_VALIDITY, read},
    server_name::ServerName,
};
use tern_model::{Config, Federation, MatrixError, Millis, Name, OldSigningKey};
use tern_ports::{Clock, wire::server_keys::StoredServerKey};
use tern_testkit::peer::Peer;

const DAY: u64 = 86_400_000;
const TARGET: &str = "/_matrix/federation/v1/send/1?a=%27b";

/// The proxy, and the servers that have ever sent it something.
struct Scene {
    edge: Edge,
    config: Config,
    cache: KeyCache,
    /// How often a stranger was let in.
    strangers: Cell<u32>,
    room_for: Cell<u32>,
}

impl Scene {
    fn new() -> Self {
        let (cache, strangers) = (KeyCache::default(), Cell::new(0));
        Self { edge: Edge::new(), config: config(), cache, strangers, room_for: Cell::new(100) }
    }

    /// `peer` can be asked for its key, which is good until then.
    fn knows(&self, peer: &Peer, valid_until: Millis, expired: bool) {
        let (key_id, key) = (Name::cut(peer.key.id.clone()), Name::cut(peer.key.public().text()));
        let key = StoredServerKey { key_id, key, valid_until, expired };
        self.edge.servers.borrow_mut().insert(peer.name.clone(), vec![key]);
    }

    fn receive(&self, header: Option<&str>, method: &str, target: &str, body: &str) -> Result<String, MatrixError> {
        let received = sender::Received { method, target, authorization: header, body: body.as_bytes() };
        let admit = || {
            self.strangers.set(self.strangers.get() + 1);
            if self.strangers.get() > self.room_for.get() { Err(MatrixError::limit_exceeded(1)) } else { Ok(()) }
        };
        let verify = sender::verify(&self.edge, &self.config, &self.cache, received, admit);
        self.edge.run(verify).map(|server| server.to_string())
    }

    fn put(&self, header: &str) -> Result<String, MatrixError> {
        self.receive(Some(header), "PUT", TARGET, BODY)
    }
}

const BODY: &str = r#"{"pdus":[{"content":{"n":1.50,"big":1152921504606846976}}], "origin":"a.org"}"#;

fn peer() -> Peer {
    Peer::new("a.org", "ed25519:1", 1)
}

#[test]
fn a_server_is_known_by_its_signature() {
    let scene = Scene::new();
    scene.knows(&peer(), scene.edge.now().plus(DAY), false);
    let header = peer().sign("PUT", TARGET, "example.org", BODY);
    assert_eq!(scene.put(&header), Ok("a.org".to_owned()));
    // Whoever is known costs nothing.
    let before = scene.edge.storage.d1.take_batches().len();
    assert_eq!((before, scene.edge.fetches.get(), scene.strangers.get()), (1, 1, 1));
    for _ in 0..10 {
        assert_eq!(scene.put(&header), Ok("a.org".to_owned()));
    }
    assert_eq!((scene.edge.storage.d1.take_batches().len(), scene.edge.fetches.get()), (0, 1));
    let get = peer().sign("GET", "/_matrix/federation/v1/version", "example.org", "");
    assert_eq!(scene.receive(Some(&get), "GET", "/_matrix/federation/v1/version", ""), Ok("a.org".to_owned()));
}

#[test]
fn whatever_is_wrong_with_a_signature_is_the_same_refusal() {
    let scene = Scene::new();
    scene.knows(&peer(), scene.edge.now().plus(DAY), false);
    let sign = |destination: &str| peer().sign("PUT", TARGET, destination, BODY);
    let good = sign("example.org");
    let refused = |header: Option<&str>| code(scene.receive(header, "PUT", TARGET, BODY));
    for header in [
        None,
        Some("Bearer abc"),
        Some("X-Matrix nonsense"),
        Some(sign("other.org").as_str()),
        // Signed for another server, and said to be for this one.
        Some(sign("other.org").replace("other.org", "example.org").as_str()),
        Some(good.replace("a.org", "b.org").as_str()),
        Some(good.replace("ed25519:1", "ed25519:2").as_str()),
        Some(good.replace("sig=\"", "sig=\"A").as_str()),
        Some(Peer::new("a.org", "ed25519:1", 2).sign("PUT", TARGET, "example.org", BODY).as_str()),
        Some(peer().sign("POST", TARGET, "example.org", BODY).as_str()),
        Some(peer().sign("PUT", "/_matrix/federation/v1/send/2", "example.org", BODY).as_str()),
        Some(peer().sign("PUT", TARGET, "example.org", "{}").as_str()),
    ] {
        assert_eq!(refused(header), (401, "M_UNAUTHORIZED".to_owned()), "{header:?}");
    }
    // Older servers do not say whom a request is for, and sign for this one all the same.
    assert_eq!(scene.put(&good.replace(",destination=\"example.org\"", "")), Ok("a.org".to_owned()));
}

#[test]
fn a_body_that_cannot_have_been_signed_is_told_so() {
    let scene = Scene::new();
    scene.knows(&peer(), scene.edge.now().plus(DAY), false);
    let header = peer().sign("PUT", TARGET, "example.org", "{}");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for (body, errcode) in [("{", "M_NOT_JSON"), ("[]", "M_BAD_JSON"), (deep.as_str(), "M_BAD_JSON")] {
        assert_eq!(code(scene.receive(Some(&header), "PUT", TARGET, body)), (400, errcode.to_owned()), "{body}");
    }
    assert_eq!(scene.edge.fetches.get(), 0, "nobody was asked for that");
}

#[test]
fn of_several_keys_of_a_server_one_is_enough() {
    let scene = Scene::new();
    scene.knows(&peer(), scene.edge.now().plus(DAY), false);
    let other = Peer::new("a.org", "ed25519:2", 2).sign("PUT", TARGET, "example.org", BODY);
    let good = peer().sign("PUT", TARGET, "example.org", BODY);
    assert_eq!(scene.put(&format!("{other}, {good}")), Ok("a.org".to_owned()));
    // Of two servers the first counts.
    let stranger = Peer::new("b.org", "ed25519:1", 3).sign("PUT", TARGET, "example.org", BODY);
    assert_eq!(code(scene.put(&format!("{stranger}, {good}"))).0, 401);
}

#[test]
fn a_key_has_to_be_good_now() {
    let scene = Scene::new();
    let header = peer().sign("PUT", TARGET, "example.org", BODY);
    scene.knows(&peer(), scene.edge.now().plus(61_000), false);
    assert!(scene.put(&header).is_ok());
    scene.edge.clock.advance(61_001);
    assert_eq!(code(scene.put(&header)).0, 401, "its time is over, and the server says nothing else");
    assert_eq!(scene.edge.fetches.get(), 2);
    assert_eq!(code(scene.put(&header)).0, 401);
    assert_eq!(scene.edge.fetches.get(), 2, "which is remembered for a minute");
    scene.knows(&peer(), scene.edge.now().plus(DAY), true);
    scene.edge.clock.advance(60_000);
    assert_eq!(code(scene.put(&header)).0, 401, "an old key signs no requests");
    scene.knows(&peer(), scene.edge.now().plus(2 * DAY), false);
    scene.edge.clock.advance(60_000);
    assert!(scene.put(&header).is_ok());
}

#[test]
fn whoever_makes_up_senders_has_nobody_asked_for_long() {
    let scene = Scene::new();
    scene.room_for.set(3);
    let fake = |n: usize| {
        let (name, key) = (format!("s{n}.org"), format!("ed25519:{n}"));
        Peer::new(&name, &key, 9).sign("PUT", TARGET, "example.org", BODY)
    };
    let statuses: Vec<_> = (0..6).map(|n| code(scene.put(&fake(n))).0).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    assert_eq!(scene.edge.fetches.get(), 3);
    // Of those who are known to be nobody no one is asked again.
    assert_eq!(code(scene.put(&fake(0))).0, 401);
}

#[test]
fn this_server_is_not_asked_for_its_own_keys() {
    let scene = Scene::new();
    let own = |seed| Peer::new("example.org", "ed25519:a", seed).sign("PUT", TARGET, "example.org", BODY);
    assert_eq!(scene.put(&own(1)), Ok("example.org".to_owned()));
    assert_eq!(code(scene.put(&own(2))).0, 401);
    assert_eq!((scene.edge.fetches.get(), scene.strangers.get()), (0, 0));
}

#[test]
fn own_keys_are_good_for_half_a_day_at_least() {
    let (own, mut config) = (OwnKeys::default(), config());
    let old = OldSigningKey { key: peer().key.public().text(), expired_ts: Millis(5) };
    config.federation.old_keys.insert("ed25519:old".to_owned(), old);
    let name = ServerName::parse("example.org").unwrap();
    let until = |now: Millis| {
        let answer = own.answer(&config, now).unwrap();
        let keys = read(answer.as_bytes(), &name, now).unwrap().keys;
        assert_eq!((keys.len(), keys[1].key_id.as_str(), keys[1].expired), (2, "ed25519:old", true));
        keys[0].valid_until
    };
    let first = until(Millis(0));
    assert_eq!(first, Millis(OWN_VALIDITY));
    assert_eq!(until(Millis(OWN_VALIDITY / 2)), first, "not signed anew");
    assert_eq!(until(Millis(OWN_VALIDITY / 2 + 1)), Millis(OWN_VALIDITY / 2 + 1 + OWN_VALIDITY));
}

#[test]
fn old_keys_are_looked_at_when_the_server_starts() {
    let with = |id: &str, key: &str| {
        let old = OldSigningKey { key: key.to_owned(), expired_ts: Millis(1) };
        check(&Federation { old_keys: [(id.to_owned(), old)].into(), ..Federation::default() }, "ed25519:a")
    };
    let key = peer().key.public().text();
    assert_eq!(with("ed25519:old", &key), Ok(()));
    assert!(with("old", &key).is_err() && with("ed25519:old", "AQ").is_err() && with("ed25519:a", &key).is_err());
}

#[test]
fn a_notary_passes_on_what_servers_have_signed() {
    let scene = Scene::new();
    let wanted = |text: &str| {
        let read: BTreeMap<_, _> = serde_json::from_str(text).unwrap();
        notary::wanted(&read)
    };
    let answer = |text: &str| {
        let own = OwnKeys::default();
        let query = notary::query(&scene.edge, &scene.config, &own, wanted(text).unwrap(), || Ok(()));
        let answer: Value = serde_json::from_str(&scene.edge.run(query).unwrap()).unwrap();
        answer["server_keys"].as_array().cloned().unwrap()
    };
    assert_eq!(answer("{}"), Vec::<Value>::new());
    assert_eq!(answer(r#"{"nobody.org":{}}"#), Vec::<Value>::new());
    let own = answer(r#"{"Example.org":{"ed25519:a":{"minimum_valid_until_ts":5}}}"#);
    assert_eq!(own[0]["server_name"], json!("example.org"));
    assert_eq!(code(wanted(r#"{"a.org":{"ed25519:1":{"minimum_valid_until_ts":"x"}}}"#)).1, "M_BAD_JSON");
    let many: BTreeMap<_, _> = (0..101).map(|n| (format!("s{n}.org"), json!({}))).collect();
    assert_eq!(code(wanted(&json!(many).to_string())).1, "M_TOO_LARGE");
}

#[test]
fn every_server_that_has_to_be_asked_counts_for_whoever_asks_about_it() {
    let scene = Scene::new();
    let ask = |number: usize, room_for: u32| {
        let wanted = (0..number).map(|at| (format!("s{at}.org").try_into().unwrap(), Millis(0))).collect();
        let (own, asked, before) = (OwnKeys::default(), Cell::new(0), scene.edge.fetches.get());
        let admit = || {
            asked.set(asked.get() + 1);
            if asked.get() > room_for { Err(MatrixError::limit_exceeded(1)) } else { Ok(()) }
        };
        let answer = scene.edge.run(notary::query(&scene.edge, &scene.config, &own, wanted, admit));
        (answer.map_err(|error| error.errcode), asked.get(), scene.edge.fetches.get() - before)
    };
    let nobody = Ok(r#"{"server_keys":[]}"#.to_owned());
    assert_eq!(ask(4, 100), (nobody.clone(), 4, 4));
    assert_eq!(ask(50, 100), (nobody.clone(), 10, 10), "not more for one question");
    assert_eq!(ask(4, 2), (nobody, 3, 2), "as far as there is room");
    assert_eq!(ask(4, 0), (Err("M_LIMIT_EXCEEDED".into()), 1, 0));
}

#[test]
fn only_users_and_aliases_of_this_server_are_told_of() {
    let scene = Scene::new();
    let (alice, bob) = (ruma::user_id!("@alice:example.org"), ruma::user_id!("@bob:other.org"));
    let run = |user_id, field| {
        let profile = queries::profile(&scene.edge, &scene.config, user_id, field);
        code(scene.edge.run(profile))
    };
    assert_eq!(run(bob, None), (400, "M_INVALID_PARAM".to_owned()));
    assert_eq!(run(alice, Some("displayname")), (404, "M_NOT_FOUND".to_owned()));
    let alias = |text| code(scene.edge.run(queries::alias(&scene.edge, &scene.config, text)));
    assert_eq!(alias("#a:other.org"), (400, "M_INVALID_PARAM".to_owned()));
    assert_eq!(alias("nonsense"), (400, "M_INVALID_PARAM".to_owned()));
    assert_eq!(alias("#a:example.org"), (404, "M_NOT_FOUND".to_owned()));
    let devices = |user_id| scene.edge.run(queries::devices(&scene.edge, &scene.config, user_id));
    assert_eq!(code(devices(bob)).0, 404);
    let none = json!({ "user_id": alice, "stream_id": 0, "devices": [] });
    assert_eq!(devices(alice), Ok(none), "nobody is told whether somebody is there");
}
