//! Access tokens: what is accepted, and everything that is not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod config;

use std::num::NonZeroUsize;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use ruma::{owned_server_name, user_id};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384};
use tern_auth::{
    Check, TokenCache, TokenError,
    cache::CONFIRMED_FOR,
    token::{LIFETIME, mint, verify},
};
use tern_model::{Caller, Config, MatrixError, Millis};

use crate::config::config;

const NOW: Millis = Millis(1_700_000_000_123);

fn caller() -> Caller {
    Caller { user_id: user_id!("@alice:example.org").to_owned(), device_id: "DEVICE".into() }
}

fn token(refreshes: bool) -> String {
    mint(&config(), &caller(), "session", refreshes, NOW, [3; 6]).unwrap().access_token
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
fn a_minted_token_says_who_and_until_when() {
    let long = verify(&config(), &token(false), NOW.plus(u64::from(u32::MAX) * 1000)).unwrap();
    assert_eq!((long.caller, long.session_id.as_str(), long.expires), (caller(), "session", None));
    let minted = mint(&config(), &caller(), "session", true, NOW, [3; 6]).unwrap();
    assert_eq!(minted.expires_in_ms, Some(LIFETIME));
    let short = verify(&config(), &minted.access_token, NOW).unwrap();
    assert_eq!(short.expires, Some(Millis(1_700_000_300_000)));
    assert!(minted.access_token.len() < 256, "{}", minted.access_token.len());
    assert!(minted.access_token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
}

#[test]
fn two_tokens_of_one_session_differ() {
    let one = mint(&config(), &caller(), "session", true, NOW, [1; 6]).unwrap();
    let two = mint(&config(), &caller(), "session", true, NOW, [2; 6]).unwrap();
    assert_ne!(one.access_token, two.access_token);
}

#[test]
fn an_expired_token_is_a_soft_logout_and_an_unknown_one_is_not() {
    let short = token(true);
    assert_eq!(verify(&config(), &short, NOW.plus(LIFETIME)), Err(TokenError::Expired));
    assert!(verify(&config(), &short, NOW.plus(LIFETIME - 1_000)).is_ok());
    let error = |token| (MatrixError::from(token).status, MatrixError::from(token).soft_logout);
    assert_eq!(error(TokenError::Expired), (401, Some(true)));
    assert_eq!(error(TokenError::Unknown), (401, Some(false)));
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
fn a_token_of_another_server_is_refused() {
    let other = Config { server_name: owned_server_name!("example.com"), ..config() };
    assert_eq!(verify(&other, &token(false), NOW), Err(TokenError::Unknown));
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

#[test]
fn pieces_of_a_token_and_other_text_are_refused() {
    let good = token(true);
    for end in 0..good.len() {
        assert_eq!(verify(&config(), &good[..end], NOW), Err(TokenError::Unknown), "{end}");
    }
    for start in 1..good.len() {
        assert_eq!(verify(&config(), &good[start..], NOW), Err(TokenError::Unknown), "{start}");
    }
    let long = format!("{good}{}", "A".repeat(5_000));
    for odd in ["", ".", "..", "...", "a.b.c", "💥.💥.💥", "Bearer x", &long, &format!("{good}."), &format!(" {good}")]
    {
        assert_eq!(verify(&config(), odd, NOW), Err(TokenError::Unknown), "{odd}");
    }
}

#[test]
fn every_changed_character_is_noticed() {
    let good = token(false);
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        assert!(verify(&config(), &forged, NOW).is_err(), "{at}");
    }
}

#[test]
fn a_session_must_have_been_confirmed_within_five_seconds() {
    let (config, token, mut cache) = (config(), token(false), TokenCache::default());
    let confirm = |check: &Check| matches!(check, Check::Confirm(_));
    assert!(confirm(&cache.check(&config, &token, NOW)));
    assert!(confirm(&cache.check(&config, &token, NOW)));
    cache.confirm(&token, NOW);
    let Check::Fresh(verified) = cache.check(&config, &token, NOW.plus(CONFIRMED_FOR - 1)) else { panic!("not fresh") };
    assert_eq!(verified.caller, caller());
    assert!(confirm(&cache.check(&config, &token, NOW.plus(CONFIRMED_FOR))));
    cache.confirm(&token, NOW.plus(9_000));
    cache.confirm(&token, NOW.plus(1_000));
    assert!(matches!(cache.check(&config, &token, NOW.plus(10_000)), Check::Fresh(_)));
}

#[test]
fn an_ended_session_stays_ended() {
    let (config, token, mut cache) = (config(), token(false), TokenCache::default());
    cache.check(&config, &token, NOW);
    cache.confirm(&token, NOW);
    cache.end(&token);
    cache.confirm(&token, NOW.plus(1));
    assert_eq!(cache.check(&config, &token, NOW.plus(2)), Check::Refused(TokenError::Unknown));
}

#[test]
fn all_sessions_of_a_user_end_at_once_and_no_other() {
    let (config, alice, mut cache) = (config(), token(false), TokenCache::default());
    let other = Caller { user_id: user_id!("@bob:example.org").to_owned(), device_id: "DEVICE".into() };
    let bob = mint(&config, &other, "session", false, NOW, [0; 6]).unwrap().access_token;
    for token in [&alice, &bob] {
        cache.check(&config, token, NOW);
        cache.confirm(token, NOW);
    }
    cache.end_where(|verified| verified.caller.user_id == user_id!("@alice:example.org"));
    assert_eq!(cache.check(&config, &alice, NOW), Check::Refused(TokenError::Unknown));
    assert!(matches!(cache.check(&config, &bob, NOW), Check::Fresh(_)));
}

#[test]
fn a_cached_token_expires_too() {
    let (config, token, mut cache) = (config(), token(true), TokenCache::default());
    cache.check(&config, &token, NOW);
    cache.confirm(&token, NOW.plus(LIFETIME));
    assert_eq!(cache.check(&config, &token, NOW.plus(LIFETIME)), Check::Refused(TokenError::Expired));
    assert_eq!(cache.check(&config, "nonsense", NOW), Check::Refused(TokenError::Unknown));
}

#[test]
fn the_cache_forgets_the_least_used() {
    let mut cache = TokenCache::new(NonZeroUsize::new(2).unwrap());
    let tokens: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|session| mint(&config(), &caller(), session, false, NOW, [0; 6]).unwrap().access_token)
        .collect();
    for token in &tokens {
        cache.check(&config(), token, NOW);
        cache.confirm(token, NOW);
    }
    let fresh: Vec<bool> =
        tokens.iter().rev().map(|token| matches!(cache.check(&config(), token, NOW), Check::Fresh(_))).collect();
    assert_eq!(fresh, [true, true, false]);
    cache.confirm("unknown", NOW);
}
