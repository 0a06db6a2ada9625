//! The access tokens of builds before, JSON Web Tokens: still accepted, and nothing else that looks like one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod config;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use ruma::owned_server_name;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384};
use tern_auth::{TokenError, token::verify};
use tern_model::{Config, Millis};

use crate::config::config;

const NOW: Millis = Millis(1_700_000_000_123);

/// A token as builds before made it.
fn token(expires: bool) -> String {
    let key_id = Sha256::new().chain_update(b"tern access token 1").chain_update([7; 32]).finalize();
    let header = json!({ "alg": "HS256", "kid": BASE64.encode(&key_id[..3]) });
    let mut claims =
        json!({ "sub": "@alice:example.org", "dev": "DEVICE", "sid": "session", "iat": 1_700_000_000_u64 });
    if expires {
        claims["exp"] = json!(1_700_000_300_u64);
    }
    signed(&header, &claims, &[7; 32])
}

/// The parts of a token: header, claims, signature.
fn parts(token: &str) -> (Value, Value, Vec<u8>) {
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| BASE64.decode(part).unwrap()).collect();
    (serde_json::from_slice(&parts[0]).unwrap(), serde_json::from_slice(&parts[1]).unwrap(), parts[2].clone())
}

fn signed(header: &Value, claims: &Value, key: &[u8]) -> String {
    let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", BASE64.encode(mac))
}

#[test]
fn an_earlier_token_is_good_until_its_end() {
    let long = verify(&config(), &token(false), NOW.plus(u64::from(u32::MAX) * 1000)).unwrap();
    assert_eq!(
        (long.caller.user_id.as_str(), long.session_id.as_str(), long.expires),
        ("@alice:example.org", "session", None)
    );
    assert_eq!(long.caller.device_id, "DEVICE");
    assert!(verify(&config(), &token(true), NOW).is_ok());
    assert_eq!(verify(&config(), &token(true), NOW.plus(300_000)), Err(TokenError::Expired));
}

#[test]
fn a_token_of_another_server_is_refused() {
    let other = Config { server_name: owned_server_name!("example.com"), ..config() };
    assert_eq!(verify(&other, &token(false), NOW), Err(TokenError::Unknown));
}

#[test]
fn another_algorithm_is_refused_whatever_the_signature() {
    let (mut header, claims, signature) = parts(&token(false));
    let claims_part = BASE64.encode(claims.to_string());
    for algorithm in ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", ""] {
        header["alg"] = algorithm.into();
        let message = format!("{}.{claims_part}", BASE64.encode(header.to_string()));
        let hs384 = Hmac::<Sha384>::new_from_slice(&[7; 32]).unwrap().chain_update(&message).finalize().into_bytes();
        let hs256 = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap().chain_update(&message).finalize().into_bytes();
        for signature in [&[][..], &signature, &hs384, &hs256] {
            let forged = format!("{message}.{}", BASE64.encode(signature));
            assert_eq!(verify(&config(), &forged, NOW), Err(TokenError::Unknown), "{algorithm}");
        }
    }
    header["alg"] = json!(7);
    assert_eq!(verify(&config(), &signed(&header, &claims, &[7; 32]), NOW), Err(TokenError::Unknown));
}

#[test]
fn another_key_is_refused_also_under_our_key_id() {
    let good = token(false);
    let (header, claims, _) = parts(&good);
    assert_eq!(verify(&config(), &signed(&header, &claims, &[8; 32]), NOW), Err(TokenError::Unknown));
    assert!(verify(&config(), &signed(&header, &claims, &[7; 32]), NOW).is_ok());
    let other = Config { token_key: vec![8; 32], ..config() };
    assert_eq!(verify(&other, &good, NOW), Err(TokenError::Unknown));
    let header = json!({ "alg": "HS256" });
    assert_eq!(verify(&config(), &signed(&header, &claims, &[7; 32]), NOW), Err(TokenError::Unknown));
}

#[test]
fn changed_or_incomplete_claims_are_refused() {
    let (header, claims, signature) = parts(&token(true));
    let signature = BASE64.encode(signature);
    let mut later = claims.clone();
    later["exp"] = json!(2_000_000_000);
    let forged = format!("{}.{}.{signature}", BASE64.encode(header.to_string()), BASE64.encode(later.to_string()));
    assert_eq!(verify(&config(), &forged, NOW), Err(TokenError::Unknown));
    for (key, value) in
        [("sub", json!("alice")), ("sub", json!(null)), ("dev", json!(7)), ("sid", json!(null)), ("exp", json!(-1))]
    {
        let mut odd = claims.clone();
        odd[key] = value;
        assert_eq!(verify(&config(), &signed(&header, &odd, &[7; 32]), NOW), Err(TokenError::Unknown), "{odd}");
    }
    for odd in [json!([]), json!(7), json!({})] {
        assert_eq!(verify(&config(), &signed(&header, &odd, &[7; 32]), NOW), Err(TokenError::Unknown), "{odd}");
    }
}
