//! Access tokens: what is accepted, and everything that is not. Those of builds before: `earlier_token.rs`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod config;

use std::num::NonZeroUsize;

use ruma::{owned_server_name, user_id};
use tern_auth::{
    Check, TokenCache, TokenError,
    cache::CONFIRMED_FOR,
    oauth::scope::Rights,
    token::{LIFETIME, mint, mint_granted, verify},
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

#[test]
fn a_minted_token_says_who_and_until_when() {
    let long = verify(&config(), &token(false), NOW.plus(u64::from(u32::MAX) * 1000)).unwrap();
    assert_eq!((long.caller, long.session_id.as_str(), long.expires), (caller(), "session", None));
    let minted = mint(&config(), &caller(), "session", true, NOW, [3; 6]).unwrap();
    assert_eq!(minted.expires_in_ms, Some(LIFETIME));
    let short = verify(&config(), &minted.access_token, NOW).unwrap();
    assert_eq!(short.expires, Some(Millis(1_700_000_300_000)));
    assert!(minted.access_token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
}

#[test]
fn a_token_is_short_since_every_request_carries_it() {
    let session = "AAECAwQFBgcICQoLDA0ODw~7";
    let phone = Caller { user_id: user_id!("@alice:example.org").to_owned(), device_id: "ABCDEFGHIJ".into() };
    let minted = mint_granted(&config(), &phone, session, Rights::LEGACY, NOW, [3; 6]).unwrap().access_token;
    assert!(minted.len() <= 92, "{}: {minted}", minted.len());
    let verified = verify(&config(), &minted, NOW).unwrap();
    assert_eq!((verified.caller, verified.session_id.as_str(), verified.rights), (phone, session, Rights::LEGACY));
}

#[test]
fn any_session_and_device_come_back_as_they_were() {
    for session in ["", "session", "AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0ODx~1", "ééééééééééé~1", "~"]
    {
        for device in ["", "é", "x".repeat(300).as_str()] {
            let caller = Caller { device_id: device.into(), ..caller() };
            let minted = mint(&config(), &caller, session, true, NOW, [0; 6]).unwrap();
            let verified = verify(&config(), &minted.access_token, NOW).unwrap();
            assert_eq!((verified.caller, verified.session_id.as_str()), (caller, session));
        }
    }
    assert!(mint(&config(), &caller(), &"x".repeat(256), true, NOW, [0; 6]).is_err());
}

#[test]
fn another_key_is_refused() {
    let other = Config { token_key: vec![8; 32], ..config() };
    assert_eq!(verify(&other, &token(false), NOW), Err(TokenError::Unknown));
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
fn a_token_of_another_server_is_refused() {
    let other = Config { server_name: owned_server_name!("example.com"), ..config() };
    assert_eq!(verify(&other, &token(false), NOW), Err(TokenError::Unknown));
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
