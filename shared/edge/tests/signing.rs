//! The keys of id tokens: made once, rotated, and what became of tokens that older ones signed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod edge;

use edge::{Edge, code, config};
use serde_json::Value;
use tern_auth::{
    oauth::{id_token::Subject, keyring::REMEMBERED_FOR},
    secret::from_base64,
};
use tern_edge::signing::{Keyrings, id_token};
use tern_model::{Algorithm, Config};
use tern_ports::{Clock, Crypto, ask_storage, wire::storage::LoadKeyring};

fn published(edge: &Edge, isolate: &Keyrings) -> Value {
    edge.run(isolate.get(edge, &config())).unwrap().published()
}

fn sign(edge: &Edge, isolate: &Keyrings, algorithm: Algorithm) -> String {
    let auth_time = Some(edge.now());
    let subject = Subject { user_id: "@a:x", client_id: "c", auth_time, nonce: Some("n"), access_token: "t" };
    edge.run(id_token(edge, &config(), isolate, algorithm, subject)).unwrap()
}

/// What a relying party does with the set it knows.
fn accepted(edge: &Edge, token: &str, set: &Value) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let header: Value = serde_json::from_slice(&from_base64(parts[0]).unwrap()).unwrap();
    let algorithm = Algorithm::named(header["alg"].as_str().unwrap()).unwrap();
    let key =
        set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"] && key["alg"] == header["alg"]);
    let Some(key) = key.and_then(Value::as_object) else { return false };
    let (message, signature) = (format!("{}.{}", parts[0], parts[1]), from_base64(parts[2]).unwrap());
    edge.run(edge.verify(algorithm, key, message.as_bytes(), &signature)).unwrap()
}

#[test]
fn all_isolates_agree_from_the_first_token_on() {
    let (edge, one, other) = (Edge::new(), Keyrings::default(), Keyrings::default());
    for algorithm in Algorithm::ALL {
        let token = sign(&edge, &one, algorithm);
        assert!(accepted(&edge, &token, &published(&edge, &other)), "{}", algorithm.name());
    }
    assert_eq!(published(&edge, &one), published(&edge, &other));
}

#[test]
fn a_relying_party_with_an_old_set_survives_a_turn_and_an_old_token_too() {
    let (edge, isolate) = (Edge::new(), Keyrings::default());
    let (before, known) = (sign(&edge, &isolate, Algorithm::Es256), published(&edge, &isolate));
    assert_eq!(code(edge.run(isolate.rotate(&edge, &config(), false))).0, 409, "right after they were made");
    edge.clock.advance(REMEMBERED_FOR);
    edge.run(isolate.rotate(&edge, &config(), false)).unwrap();
    let after = sign(&edge, &isolate, Algorithm::Es256);
    assert!(accepted(&edge, &after, &known), "the next key was known");
    assert!(accepted(&edge, &before, &published(&edge, &isolate)), "the previous key is still known");
    assert_eq!(code(edge.run(isolate.rotate(&edge, &config(), false))).0, 409);

    edge.clock.advance(REMEMBERED_FOR);
    edge.run(isolate.rotate(&edge, &config(), false)).unwrap();
    assert!(!accepted(&edge, &before, &published(&edge, &isolate)), "two turns later it is over");
    assert!(accepted(&edge, &after, &published(&edge, &isolate)));
}

#[test]
fn another_isolate_hears_of_a_turn_within_a_minute() {
    let (edge, one, other) = (Edge::new(), Keyrings::default(), Keyrings::default());
    published(&edge, &one);
    edge.clock.advance(REMEMBERED_FOR);
    let old = published(&edge, &other);
    edge.run(one.rotate(&edge, &config(), false)).unwrap();
    assert_eq!(published(&edge, &other), old);
    edge.clock.advance(60_000);
    assert_eq!(published(&edge, &other), published(&edge, &one));
}

#[test]
fn keys_that_have_become_known_are_replaced_at_once() {
    let (edge, isolate) = (Edge::new(), Keyrings::default());
    let before = sign(&edge, &isolate, Algorithm::Rs256);
    edge.run(isolate.rotate(&edge, &config(), true)).unwrap();
    assert!(!accepted(&edge, &before, &published(&edge, &isolate)));
    let after = sign(&edge, &isolate, Algorithm::Rs256);
    assert!(accepted(&edge, &after, &published(&edge, &isolate)));
}

#[test]
fn private_halves_are_kept_sealed_and_open_with_the_token_key_alone() {
    let (edge, isolate) = (Edge::new(), Keyrings::default());
    sign(&edge, &isolate, Algorithm::Rs256);
    let stored = edge.run(ask_storage(&edge, LoadKeyring {})).unwrap().unwrap();
    let stolen = Config { token_key: vec![8; 32], ..config() };
    let subject = Subject { user_id: "@a:x", client_id: "c", auth_time: None, nonce: None, access_token: "t" };
    let signed = edge.run(id_token(&edge, &stolen, &Keyrings::default(), Algorithm::Rs256, subject));
    assert_eq!(code(signed).0, 500);
    assert!(!stored.keyring.contains("\"d\""), "no private exponent");
}

#[test]
fn an_id_token_says_who_for_whom_and_when() {
    let (edge, isolate) = (Edge::new(), Keyrings::default());
    let token = sign(&edge, &isolate, Algorithm::Es256);
    let claims: Value = serde_json::from_slice(&from_base64(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let now = edge.now().0 / 1000;
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&"https://example.org/".into(), &"@a:x".into(), &"c".into())
    );
    assert_eq!((&claims["iat"], &claims["exp"]), (&now.into(), &(now + 600).into()));
    assert_eq!((&claims["auth_time"], &claims["nonce"]), (&now.into(), &"n".into()));
}
