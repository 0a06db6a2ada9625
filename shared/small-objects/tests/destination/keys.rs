//! The object of another server: finds it, has it say its keys, once for all who ask.

use std::collections::BTreeMap;

use futures::future::join_all;
use tern_model::{MatrixError, Millis};
use tern_ports::wire::{
    frame,
    server_keys::{FetchServerKeys, StoredServerKey},
};
use tern_testkit::{peer::Peer, web::Page};

use crate::support::{DAY, NOW, Scene, actor_named};

const KEYS: &str = "https://a.org:8448/_matrix/key/v2/server";

type Fetched = Result<Vec<StoredServerKey>, MatrixError>;

impl Scene {
    /// Answers to so many who ask at the same time.
    fn fetch(&self, askers: usize) -> Vec<Fetched> {
        let asks = (0..askers).map(|_| self.actor.handle(FetchServerKeys {}.into()));
        self.host.executor.run(join_all(asks)).iter().map(|reply| frame::read_reply(reply)).collect()
    }

    fn fetch_one(&self) -> Fetched {
        self.fetch(1).remove(0)
    }
}

fn peer() -> Peer {
    Peer::new("a.org", "ed25519:1", 1)
}

fn says(peer: &Peer, valid_until: Millis) -> Page {
    Page::of("application/json", peer.keys(valid_until, &BTreeMap::new()))
}

fn code(fetched: &Fetched) -> &str {
    fetched.as_ref().map_or_else(|error| error.errcode.as_ref(), |_| "none")
}

#[test]
fn a_server_is_found_and_asked_once_for_all() {
    let scene = Scene::new("a.org", vec![(KEYS, says(&peer(), NOW.plus(DAY)))], &[]);
    let fetched = scene.fetch(20);
    let first = fetched[0].as_ref().unwrap();
    assert_eq!((first[0].key_id.as_str(), first[0].valid_until), ("ed25519:1", NOW.plus(DAY)));
    assert!(fetched.iter().all(|other| other.as_ref() == Ok(first)));
    let asked = scene.asked();
    let steps = [
        "https://a.org/.well-known/matrix/server",
        "https://cloudflare-dns.com/dns-query?name=_matrix-fed._tcp.a.org&type=SRV",
        "https://cloudflare-dns.com/dns-query?name=_matrix._tcp.a.org&type=SRV",
        KEYS,
    ];
    assert_eq!(asked, steps);
    // Whoever names another key of it within a minute hears the same.
    scene.host.web.clock.advance(59_000);
    assert_eq!(scene.fetch_one().as_ref(), Ok(first));
    assert!(scene.asked().is_empty());
    // Later it is asked again, where it was.
    scene.host.web.clock.advance(2_000);
    scene.fetch_one().unwrap();
    assert_eq!(scene.asked(), [KEYS]);
}

#[test]
fn a_delegated_server_is_asked_where_it_says() {
    let well_known = "https://a.org/.well-known/matrix/server";
    let pages = vec![
        (well_known, Page::of("text/plain", r#"{"m.server":"matrix.a.org:443"}"#)),
        ("https://matrix.a.org/_matrix/key/v2/server", says(&peer(), NOW.plus(DAY))),
    ];
    let scene = Scene::new("a.org", pages, &[]);
    scene.fetch_one().unwrap();
    assert_eq!(scene.asked(), [well_known, "https://matrix.a.org/_matrix/key/v2/server"]);
}

#[test]
fn a_server_that_does_not_answer_is_left_alone_for_longer_and_longer() {
    let scene = Scene::new("a.org:8448", Vec::new(), &[]);
    for pause in [60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000] {
        assert_eq!(code(&scene.fetch_one()), "M_UNREACHABLE");
        assert_eq!(scene.asked(), [KEYS], "after {pause}");
        scene.host.web.clock.advance(pause - 1);
        assert_eq!(code(&scene.fetch_one()), "M_UNREACHABLE");
        assert!(scene.asked().is_empty(), "before {pause}");
        scene.host.web.clock.advance(1);
    }
    scene.host.web.pages.borrow_mut().insert(KEYS, Page::of("application/json", "{}"));
    assert_eq!(code(&scene.fetch_one()), "M_UNREACHABLE", "an answer without keys is none");
}

#[test]
fn keys_that_the_server_has_not_signed_are_not_stored() {
    let other = Peer::new("b.org", "ed25519:1", 2);
    let mut forged = says(&peer(), NOW.plus(DAY));
    forged.body = String::from_utf8(forged.body).unwrap().replace("ed25519:1", "ed25519:2").into_bytes();
    for page in [says(&other, NOW.plus(DAY)), forged, Page { status: 404, ..says(&peer(), NOW.plus(DAY)) }] {
        let scene = Scene::new("a.org:8448", vec![(KEYS, page)], &[]);
        assert_eq!(code(&scene.fetch_one()), "M_UNREACHABLE");
    }
}

#[test]
fn a_notary_tells_of_a_server_that_is_gone() {
    let notary = "https://n.org:1234/_matrix/key/v2/query";
    let (old, new) = (peer().keys(NOW.plus(1), &BTreeMap::new()), peer().keys(NOW.plus(DAY), &BTreeMap::new()));
    let forged = Peer::new("a.org", "ed25519:1", 9).keys(NOW.plus(2 * DAY), &BTreeMap::new()).replace("a.org", "b.org");
    let body = format!(r#"{{"server_keys":[{old},{{}},{forged},{new}]}}"#);
    let pages = vec![(notary, Page::of("application/json", body))];
    let scene = Scene::new("a.org:8448", pages.clone(), &[]);
    assert_eq!(code(&scene.fetch_one()), "M_UNREACHABLE", "nobody is asked whom the operator has not named");
    let named = Peer::new("a.org:8448", "ed25519:1", 1).keys(NOW.plus(DAY), &BTreeMap::new());
    let body = format!(r#"{{"server_keys":[{old},{named}]}}"#);
    let pages = vec![(notary, Page::of("application/json", body))];
    let scene = Scene::new("a.org:8448", pages, &["m.org:1235", "n.org:1234"]);
    let fetched = scene.fetch_one().unwrap();
    assert_eq!((fetched.len(), fetched[0].valid_until), (1, NOW.plus(DAY)));
    assert_eq!(scene.asked(), [KEYS, "https://m.org:1235/_matrix/key/v2/query", notary]);
}

#[test]
fn an_object_is_named_by_a_server_in_small_letters() {
    for name in ["A.org", "a.org:0", "", "a.org/x"] {
        assert!(actor_named(name).is_err(), "{name}");
    }
    // An address is found on one machine only, and nothing is asked for it here.
    let scene = Scene::new("10.0.0.1:8448", Vec::new(), &[]);
    assert_eq!(code(&scene.fetch_one()), "M_UNREACHABLE");
    assert!(scene.asked().is_empty());
}
