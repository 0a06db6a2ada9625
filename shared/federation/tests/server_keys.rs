//! What is believed of what servers say of their keys.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tern_federation::{
    server_keys::{KeysError, LONGEST_VALIDITY, ServerKey, countersign, publish, read},
    server_name::ServerName,
    signature::PrivateKey,
};
use tern_model::{Millis, OldSigningKey};

const NOW: Millis = Millis(1_000_000);
const VALID_UNTIL: Millis = Millis(2_000_000);

fn key(id: &str, seed: u8) -> PrivateKey {
    PrivateKey::new(id, &[seed; 32]).unwrap()
}

fn name() -> ServerName {
    ServerName::parse("a.org:8448").unwrap()
}

/// An answer as its server writes it, changed by `change` before `signers` sign it.
fn answer(change: impl FnOnce(&mut Value), signers: &[PrivateKey]) -> String {
    let mut answer = json!({
        "server_name": "a.org:8448", "valid_until_ts": VALID_UNTIL.0, "unknown": [1.50],
        "verify_keys": { "ed25519:1": { "key": key("", 1).public().text() } },
        "old_verify_keys": { "ed25519:0": { "key": key("", 9).public().text(), "expired_ts": 500 } },
    });
    change(&mut answer);
    signers.iter().fold(answer.to_string(), |text, signer| countersign(&text, "a.org:8448", signer).unwrap())
}

fn ids(text: &str) -> Result<Vec<String>, KeysError> {
    read(text.as_bytes(), &name(), NOW).map(|read| read.keys.into_iter().map(|key| key.key_id).collect())
}

#[test]
fn an_answer_that_its_keys_have_signed_is_believed() {
    let found = read(answer(|_| {}, &[key("ed25519:1", 1)]).as_bytes(), &name(), NOW).unwrap();
    let current = ServerKey {
        key_id: "ed25519:1".to_owned(),
        key: key("", 1).public(),
        valid_until: VALID_UNTIL,
        expired: false,
    };
    let old =
        ServerKey { key_id: "ed25519:0".to_owned(), key: key("", 9).public(), valid_until: Millis(500), expired: true };
    assert_eq!(found.keys, [current, old]);
    // What is passed on is still signed.
    assert_eq!(read(found.text.as_bytes(), &name(), NOW).map(|again| again.text), Ok(found.text));
}

#[test]
fn a_key_that_has_not_signed_is_left_out() {
    let two = |answer: &mut Value| answer["verify_keys"]["ed25519:2"] = json!({ "key": key("", 2).public().text() });
    let (first, second) = (|| key("ed25519:1", 1), || key("ed25519:2", 2));
    assert_eq!(ids(&answer(two, &[first(), second()])).unwrap().len(), 3);
    assert_eq!(ids(&answer(two, &[first()])).unwrap(), ["ed25519:1", "ed25519:0"]);
    for (change, signers) in [
        (Box::new(|_: &mut Value| {}) as Box<dyn FnOnce(&mut Value)>, vec![]),
        (Box::new(|_: &mut Value| {}), vec![key("ed25519:1", 3)]),
        // An old key vouches for nothing.
        (Box::new(|_: &mut Value| {}), vec![key("ed25519:0", 9)]),
        (Box::new(|answer: &mut Value| answer["verify_keys"] = json!({})), vec![key("ed25519:1", 1)]),
        (
            Box::new(|answer: &mut Value| answer["verify_keys"] = json!({"ed25519:1": {"key": "AQ"}})),
            vec![key("ed25519:1", 1)],
        ),
        (Box::new(|answer: &mut Value| answer["verify_keys"] = json!({"ed25519:1": 7})), vec![key("ed25519:1", 1)]),
    ] {
        assert_eq!(ids(&answer(change, &signers)), Err(KeysError::NotSigned));
    }
    // Changed after it was signed.
    let forged = answer(|_| {}, &[key("ed25519:1", 1)]).replace("2000000", "3000000");
    assert_eq!(ids(&forged), Err(KeysError::NotSigned));
}

#[test]
fn a_small_order_key_with_its_universal_signature_is_no_key() {
    // Under the neutral point R = A, S = 0 is a signature of anything.
    let neutral = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let universal = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut forged: Value = serde_json::from_str(&answer(|_| {}, &[])).unwrap();
    forged["verify_keys"] = json!({ "ed25519:1": { "key": neutral } });
    forged["signatures"] = json!({ "a.org:8448": { "ed25519:1": universal } });
    assert_eq!(ids(&forged.to_string()), Err(KeysError::NotSigned));
}

#[test]
fn answers_of_other_servers_and_shapes_are_refused() {
    let signed = |change: fn(&mut Value)| ids(&answer(change, &[key("ed25519:1", 1)]));
    assert_eq!(signed(|answer| answer["server_name"] = json!("b.org")), Err(KeysError::OtherServer));
    assert_eq!(signed(|answer| answer["server_name"] = json!("a.org")), Err(KeysError::OtherServer));
    assert_eq!(signed(|answer| answer["valid_until_ts"] = json!("soon")), Err(KeysError::Malformed));
    assert_eq!(signed(|answer| answer["valid_until_ts"] = json!(-1)), Err(KeysError::Malformed));
    assert_eq!(signed(|answer| answer["verify_keys"] = json!([])), Err(KeysError::Malformed));
    assert_eq!(ids("<html>"), Err(KeysError::Malformed));
    assert_eq!(signed(|answer| answer["more"] = json!("x".repeat(70_000))), Err(KeysError::TooLong));
    let many: BTreeMap<_, _> = (0..70).map(|at| (format!("ed25519:{at}"), json!({"key": "AQ"}))).collect();
    assert_eq!(
        ids(&answer(|answer| answer["verify_keys"] = json!(many), &[key("ed25519:1", 1)])),
        Err(KeysError::TooLong)
    );
}

#[test]
fn nobody_is_believed_for_more_than_seven_days() {
    let text = answer(|answer| answer["valid_until_ts"] = json!(u64::MAX), &[key("ed25519:1", 1)]);
    let found = read(text.as_bytes(), &name(), NOW).unwrap();
    assert_eq!(found.keys[0].valid_until, Millis(NOW.0 + LONGEST_VALIDITY));
}

#[test]
fn requests_need_a_key_that_is_good_now_and_events_one_of_their_time() {
    let key =
        |expired| ServerKey { key_id: String::new(), key: key("", 1).public(), valid_until: Millis(100), expired };
    let (current, old) = (key(false), key(true));
    assert!(current.signs_requests_at(Millis(100)) && !current.signs_requests_at(Millis(101)));
    assert!(!old.signs_requests_at(Millis(100)), "an old key signs no request, whatever its time");
    for (key, ts, asks_validity, signs) in [
        (&current, 100, true, true),
        (&current, 101, true, false),
        (&current, 101, false, true),
        (&old, 100, true, true),
        (&old, 101, true, false),
        (&old, 101, false, false),
        (&old, 100, false, true),
    ] {
        assert_eq!(key.signs_events_of(Millis(ts), asks_validity), signs, "{key:?} {ts} {asks_validity}");
    }
}

#[test]
fn what_this_server_publishes_is_believed() {
    let old = OldSigningKey { key: key("", 9).public().text(), expired_ts: Millis(500) };
    let old = [("ed25519:0".to_owned(), old)].into_iter().collect();
    let text = publish("a.org:8448", &key("ed25519:1", 1), &old, VALID_UNTIL).unwrap();
    assert_eq!(ids(&text).unwrap(), ["ed25519:1", "ed25519:0"]);
    assert_eq!(tern_federation::canonical::object(text.as_bytes()).as_deref(), Ok(text.as_str()));
    // As notary, beside the signature of the owner.
    let again = countersign(&text, "b.org", &key("ed25519:n", 5)).unwrap();
    assert_eq!(ids(&again), ids(&text));
    let signers: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(signers["signatures"].as_object().map(Map::len), Some(2));
    assert!(countersign("[]", "b.org", &key("ed25519:n", 5)).is_err());
}
