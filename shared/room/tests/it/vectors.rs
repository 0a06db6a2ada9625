//! The spec's published values (Appendices, "Cryptographic Test Vectors").

use base64::{Engine, alphabet, engine::DecodePaddingMode, engine::general_purpose::GeneralPurposeConfig};
use ruma::{
    CanonicalJsonObject,
    signatures::{content_hash, reference_hash},
};
use serde_json::{Value, json};
use tern_room::{Draft, SUPPORTED, Signer, Version, build_create};

use crate::support::{object, raw, user};

const MINIMAL_HASH: &str = "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos";

/// The published seed has stray bits after its last byte, which a strict decoder refuses.
fn published_signer() -> Signer {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = base64::engine::GeneralPurpose::new(&alphabet::STANDARD, config);
    let seed = engine.decode("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap();
    Signer::new("domain".try_into().unwrap(), "ed25519:1", &seed).unwrap()
}

fn signature(object: &CanonicalJsonObject) -> Value {
    serde_json::to_value(object).unwrap()["signatures"]["domain"]["ed25519:1"].clone()
}

#[test]
fn signs_json_as_published() {
    let mut empty = CanonicalJsonObject::new();
    published_signer().sign(&mut empty).unwrap();
    assert_eq!(
        signature(&empty),
        "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"
    );
    let mut values: CanonicalJsonObject = serde_json::from_value(json!({ "one": 1, "two": "Two" })).unwrap();
    published_signer().sign(&mut values).unwrap();
    assert_eq!(
        signature(&values),
        "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"
    );
}

#[test]
fn hashes_events_as_published() {
    let minimal = json!({
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain", "origin_server_ts": 1_000_000,
        "signatures": {}, "hashes": {}, "type": "X", "content": {}, "prev_events": [], "auth_events": [], "depth": 3,
        "unsigned": { "age_ts": 1_000_000 }
    });
    let mut minimal: CanonicalJsonObject = serde_json::from_value(minimal).unwrap();
    assert_eq!(content_hash(&minimal).unwrap().encode(), MINIMAL_HASH);
    let key = published_signer();
    let hashes: CanonicalJsonObject = serde_json::from_value(json!({ "sha256": MINIMAL_HASH })).unwrap();
    minimal.insert("hashes".to_owned(), hashes.into());
    // What is signed is the redacted event, which for this one is the event without `unsigned`.
    minimal.remove("unsigned");
    key.sign(&mut minimal).unwrap();
    assert_eq!(
        signature(&minimal),
        "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"
    );
}

/// What this crate builds carries the hash, id and signature that the algorithms of the spec give, in every version.
#[test]
fn a_built_event_has_the_hash_of_its_parts() {
    for version in SUPPORTED {
        let draft = Draft::state(user("@a:domain"), "m.room.create", "", raw(&json!({ "creator": "@a:domain" })));
        let room_id = <&ruma::RoomId>::try_from("!x:domain").unwrap();
        let room_id = (!version.room_id_is_create_hash()).then_some(room_id);
        let pdu = build_create(version, room_id, &draft, tern_model::Millis(5), &published_signer()).unwrap();
        let event = object(&pdu);
        let hash = content_hash(&event).unwrap().encode();
        assert_eq!(serde_json::to_value(&event).unwrap()["hashes"]["sha256"], hash);
        assert_eq!(pdu.id().as_str(), format!("${}", reference_hash(&event, &version.rules).unwrap()));
    }
    assert!(Version::find("5").is_none() && Version::find("13").is_none());
}
