//! Names, passwords, login and user-interactive authentication.

#![expect(clippy::unwrap_used, reason = "tests")]

mod config;

use ruma::{server_name, user_id};
use serde_json::json;
use tern_auth::{
    login::LoginBody,
    password, refresh, secret,
    uia::{Auth, Challenge, Parameters, Purpose, Stage, is_open, open_session, registration_flows},
    username::{for_login, for_registration},
};
use tern_model::{Accounts, Config, MatrixError, Millis};

fn config(open_registration: bool, registration_token: Option<&str>) -> Config {
    Config { open_registration, registration_token: registration_token.map(str::to_owned), ..config::config() }
}

fn login(value: serde_json::Value) -> LoginBody {
    serde_json::from_value(value).unwrap()
}

fn code(error: &MatrixError) -> (u16, &str) {
    (error.status, error.errcode.as_ref())
}

#[test]
fn new_names_follow_the_grammar_and_capitals_are_made_small() {
    let server = server_name!("example.org");
    for name in ["alice", "a.b_c=d-e/f+g", "3", "_x", "-"] {
        assert_eq!(for_registration(name, server).unwrap().localpart(), name);
    }
    assert_eq!(for_registration("AlIce", server).unwrap(), "@alice:example.org");
    for name in ["", "a b", "é", "a:b", "@a", "a!", "a%41", "a\u{0}", "a\n", "@a:example.org", &"x".repeat(243)] {
        let error = for_registration(name, server).unwrap_err();
        assert_eq!(code(&error), (400, "M_INVALID_USERNAME"), "{name:?}");
    }
    assert!(for_registration(&"x".repeat(242), server).is_ok());
}

#[test]
fn one_signs_in_with_localpart_or_id_of_this_server() {
    let server = server_name!("example.org");
    for name in ["alice", "Alice", "@alice:example.org", "@ALICE:example.org"] {
        assert_eq!(for_login(name, server).as_deref(), Some(user_id!("@alice:example.org")), "{name}");
    }
    assert_eq!(for_login("a!b", server).as_deref(), Some(user_id!("@a!b:example.org")));
    for name in [
        "",
        "@",
        "@alice",
        "@alice:example.com",
        "alice:example.org",
        "alice:evil.org",
        "a\u{0}",
        "@alice:example.org:1",
    ] {
        assert_eq!(for_login(name, server), None, "{name:?}");
    }
}

#[test]
fn the_identifier_may_have_its_new_or_its_old_form() {
    let password = json!({ "type": "m.login.password", "password": "x", "user": "old" });
    assert_eq!(login(password.clone()).credentials.user().unwrap(), "old");
    let with = |identifier| {
        let mut body = password.clone();
        body["identifier"] = identifier;
        login(body)
    };
    assert_eq!(with(json!({ "type": "m.id.user", "user": "new" })).credentials.user().unwrap(), "new");
    let refused = |identifier| code(&with(identifier).credentials.user().unwrap_err()).to_owned_pair();
    assert_eq!(refused(json!({ "type": "m.id.user" })), (400, "M_MISSING_PARAM".to_owned()));
    assert_eq!(refused(json!({ "type": "m.id.phone" })), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(refused(json!({ "type": "m.id.moon" })), (400, "M_UNKNOWN".to_owned()));
    assert!(login(json!({ "type": "m.login.password" })).credentials.user().is_err());
    assert!(login(json!({ "type": "m.login.token" })).proof().is_err());
    assert!(login(json!({ "type": "m.login.dummy" })).proof().is_err());
    assert!(login(json!({ "type": "m.login.password" })).credentials.password().is_err());
    for odd in [
        json!({}),
        json!({ "type": 7 }),
        json!({ "type": "x", "identifier": 7 }),
        json!({ "type": "x", "password": 7 }),
    ] {
        assert!(serde_json::from_value::<LoginBody>(odd.clone()).is_err(), "{odd}");
    }
}

trait ToOwnedPair {
    fn to_owned_pair(&self) -> (u16, String);
}

impl ToOwnedPair for (u16, &str) {
    fn to_owned_pair(&self) -> (u16, String) {
        (self.0, self.1.to_owned())
    }
}

#[test]
fn registration_is_closed_open_or_by_token() {
    assert_eq!(registration_flows(&config(false, None)), Vec::<Vec<Stage>>::new());
    assert_eq!(registration_flows(&config(true, None)), [[Stage::Dummy]]);
    assert_eq!(registration_flows(&config(false, Some("t"))), [[Stage::RegistrationToken]]);
    assert_eq!(registration_flows(&config(true, Some("t"))), [[Stage::Dummy], [Stage::RegistrationToken]]);
    let mut with_terms = config(true, None);
    with_terms.accounts.terms.insert("privacy_policy".to_owned(), json!({ "version": "1" }));
    assert_eq!(registration_flows(&with_terms), [[Stage::Terms, Stage::Dummy]]);
}

#[test]
fn a_session_is_good_for_one_purpose_one_user_and_one_hour() {
    let config = config(true, None);
    let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
    let purpose = Purpose { operation: "delete_devices", user_id: Some(alice), parameters: Parameters::of([], b"{}") };
    let now = Millis(1_700_000_000_000);
    let session = open_session(&config, &purpose, now, [7; 12]);
    assert!(is_open(&config, &purpose, &session, now));
    assert!(is_open(&config, &purpose, &session, now.plus(3_599_999)));
    assert!(!is_open(&config, &purpose, &session, now.plus(3_600_000)));
    for other in [
        Purpose { operation: "deactivate", ..purpose },
        Purpose { user_id: Some(bob), ..purpose },
        Purpose { user_id: None, ..purpose },
        Purpose { parameters: Parameters::of(["PHONE"], b"{}"), ..purpose },
        Purpose { parameters: Parameters::of([], br#"{"devices":["PHONE"]}"#), ..purpose },
    ] {
        assert!(!is_open(&config, &other, &session, now));
    }
    let elsewhere = Config { token_key: vec![8; 32], ..config.clone() };
    assert!(!is_open(&elsewhere, &purpose, &session, now));
    for at in 0..session.len() {
        let mut forged = session.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert!(!is_open(&config, &purpose, std::str::from_utf8(&forged).unwrap(), now), "letter {at}");
    }
    for odd in ["", "s", &session[1..], &format!("{session}A"), &"A".repeat(9_999)] {
        assert!(!is_open(&config, &purpose, odd, now));
    }
}

#[test]
fn a_challenge_tells_flows_and_session_and_no_error_until_a_stage_fails() {
    let mut config = config(true, None);
    config.accounts.terms.insert("privacy_policy".to_owned(), json!({ "version": "1" }));
    let flows = registration_flows(&config);
    let challenge = Challenge { flows: &flows, session: "s" };
    let mut expected = json!({
        "flows": [{ "stages": ["m.login.terms", "m.login.dummy"] }],
        "params": { "m.login.terms": { "policies": { "privacy_policy": { "version": "1" } } } },
        "completed": ["m.login.terms"], "session": "s",
    });
    let error = challenge.ask(&config, &[Stage::Terms], None);
    assert_eq!((error.status, error.to_json()), (401, expected.clone()));
    let refused = challenge.ask(&config, &[Stage::Terms], Some("No"));
    assert_eq!(code(&refused), (401, "M_FORBIDDEN"));
    expected["errcode"] = "M_FORBIDDEN".into();
    expected["error"] = "No".into();
    assert_eq!(refused.to_json(), expected);
    assert_eq!((challenge.offers("m.login.dummy"), challenge.offers("m.login.password")), (Some(Stage::Dummy), None));
    assert!(
        !challenge.is_met(&[]) && !challenge.is_met(&[Stage::Dummy]) && challenge.is_met(&[Stage::Dummy, Stage::Terms])
    );
    let auth: Auth = serde_json::from_value(json!({ "session": "s" })).unwrap();
    assert_eq!(auth.kind, None);
}

fn plain() -> Accounts {
    Accounts::default()
}

#[test]
fn a_pepper_makes_a_stolen_hash_useless_and_leaves_older_ones_good() {
    let pepper = |pepper: &[u8]| Accounts { password_pepper: Some(pepper.to_vec()), ..Accounts::default() };
    let (mine, other) = (pepper(b"one"), pepper(b"two"));
    let hash = password::hash(&mine, "secret", &[9; 16]).unwrap();
    assert!(password::matches(&mine, "secret", Some(&hash)));
    assert!(!password::matches(&mine, "Secret", Some(&hash)));
    for thief in [&other, &plain()] {
        assert!(!password::matches(thief, "secret", Some(&hash)));
    }
    let older = password::hash(&plain(), "secret", &[9; 16]).unwrap();
    assert!(password::matches(&mine, "secret", Some(&older)));
    assert!(!password::matches(&mine, "secret", None));
}

#[test]
fn a_password_is_hashed_and_recognised() {
    let hash = password::hash(&plain(), "correct horse 🐎", &[9; 16]).unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert!(password::matches(&plain(), "correct horse 🐎", Some(&hash)));
    assert!(!password::matches(&plain(), "correct horse", Some(&hash)));
    assert!(!password::matches(&plain(), "", Some(&hash)));
    assert_ne!(hash, password::hash(&plain(), "correct horse 🐎", &[8; 16]).unwrap());
    assert!(!password::matches(&plain(), "x", None));
    assert!(!password::matches(&plain(), "x", Some("not a hash")));
}

#[test]
fn odd_passwords_are_refused() {
    let refused = |text: &str| MatrixError::from(password::hash(&plain(), text, &[9; 16]).unwrap_err());
    assert_eq!(code(&refused("")), (400, "M_WEAK_PASSWORD"));
    assert_eq!(code(&refused(&"x".repeat(513))), (400, "M_INVALID_PARAM"));
    assert!(!password::matches(&plain(), &"x".repeat(513), None));
}

#[test]
fn an_unknown_user_costs_a_whole_hash() {
    // The hash of nobody must parse, or no work would be done; the error of a wrong password proves that it did.
    use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
    let hash = password::hash(&plain(), "x", &[9; 16]).unwrap();
    let real = PasswordHash::new(&hash).unwrap();
    let nobody = PasswordHash::new(password::NOBODY).unwrap();
    assert_eq!((real.algorithm, real.version, &real.params), (nobody.algorithm, nobody.version, &nobody.params));
    assert_eq!(real.hash.unwrap().as_bytes().len(), nobody.hash.unwrap().as_bytes().len());
    assert!(Argon2::default().verify_password(b"x", &nobody).is_err());
}

#[test]
fn a_refresh_token_names_its_user_and_session_and_nobody_else_writes_one() {
    let config = config(true, None);
    let user = user_id!("@a.b/c=d:example.org");
    let token = refresh::write(&config, user, "session", &[5; 32]);
    let claim = refresh::Claim { user_id: user.to_owned(), session_id: Some("session".to_owned()) };
    assert_eq!(refresh::read(&config, &token), Some(claim));
    let elsewhere = Config { token_key: vec![8; 32], ..config.clone() };
    for odd in [
        "",
        "tern_r_",
        "tern_r_.",
        "tern_r_YQ",
        "tern_r_!.!",
        &token[1..],
        &format!("{token}A"),
        &format!("{token}.A"),
        &token.replace(".session.", ".another."),
        token.trim_end_matches(|char| char != '.'),
        token.trim_end_matches(|char| char != '.').trim_end_matches('.'),
        &refresh::write(&elsewhere, user, "session", &[5; 32]),
        &"x".repeat(9_999),
    ] {
        assert_eq!(refresh::read(&config, odd), None, "{odd}");
    }
}

#[test]
fn a_refresh_token_of_a_build_before_still_names_its_user() {
    let config = config(true, None);
    let old = |localpart: &[u8]| format!("tern_r_{}.{}", secret::base64(localpart), secret::base64(&[5; 32]));
    let claim = refresh::Claim { user_id: user_id!("@a:example.org").to_owned(), session_id: None };
    assert_eq!(refresh::read(&config, &old(b"a")), Some(claim));
    assert_eq!(refresh::read(&config, &old(b"a:evil.org")), None);
}

#[test]
fn secrets_are_compared_whole() {
    assert!(secret::same("abc", "abc"));
    for other in ["", "ab", "abcd", "ABC"] {
        assert!(!secret::same("abc", other));
    }
}
