//! Names, passwords, login and user-interactive authentication.

#![expect(clippy::unwrap_used, reason = "tests")]

use ruma::{owned_server_name, server_name, user_id};
use serde_json::json;
use tern_auth::{
    login::LoginBody,
    password, refresh, secret,
    uia::{Auth, Challenge, Stage, registration_stages},
    username::{for_login, for_registration},
};
use tern_model::{Accounts, Config, Limits, MatrixError};

fn config(open_registration: bool, registration_token: Option<&str>) -> Config {
    Config {
        server_name: owned_server_name!("example.org"),
        public_url: None,
        signing_key_id: "ed25519:a".to_owned(),
        signing_key: vec![1; 32],
        token_key: vec![7; 32],
        admin_token: None,
        open_registration,
        registration_token: registration_token.map(str::to_owned),
        unlimited: false,
        limits: Limits::default(),
        accounts: Accounts::default(),
    }
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
    assert!(login(json!({ "type": "m.login.token" })).check_kind().is_err());
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
    assert_eq!(registration_stages(&config(false, None)), []);
    assert_eq!(registration_stages(&config(true, None)), [Stage::Dummy]);
    assert_eq!(registration_stages(&config(false, Some("t"))), [Stage::RegistrationToken]);
    assert_eq!(registration_stages(&config(true, Some("t"))), [Stage::Dummy, Stage::RegistrationToken]);
}

#[test]
fn a_challenge_tells_flows_and_session_and_no_error_until_a_stage_fails() {
    let config = config(false, Some("sesame"));
    let stages = registration_stages(&config);
    let challenge = Challenge { stages: &stages, session: "s" };
    let expected = json!({
        "flows": [{ "stages": ["m.login.registration_token"] }], "params": {}, "completed": [], "session": "s",
    });
    let only_session: Auth = serde_json::from_value(json!({ "session": "s" })).unwrap();
    for auth in [None, Some(&only_session)] {
        let error = challenge.attempted(auth).unwrap_err();
        assert_eq!((error.status, error.to_json()), (401, expected.clone()));
    }
    let dummy: Auth = serde_json::from_value(json!({ "type": "m.login.dummy" })).unwrap();
    let error = challenge.attempted(Some(&dummy)).unwrap_err();
    assert_eq!(code(&error), (401, "M_FORBIDDEN"));
    assert_eq!(error.to_json()["flows"], expected["flows"]);
    for (token, good) in [(Some("sesame"), true), (Some("Sesame"), false), (Some(""), false), (None, false)] {
        let auth: Auth =
            serde_json::from_value(json!({ "type": "m.login.registration_token", "token": token })).unwrap();
        let (stage, auth) = challenge.attempted(Some(&auth)).unwrap();
        assert_eq!(stage, Stage::RegistrationToken);
        assert_eq!(challenge.check_registration_token(&config, auth).is_ok(), good);
    }
}

fn plain() -> Accounts {
    Accounts::default()
}

#[test]
fn a_pepper_makes_a_stolen_hash_useless_and_leaves_older_ones_good() {
    let pepper = |pepper: &[u8]| Accounts { password_pepper: Some(pepper.to_vec()) };
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
fn a_refresh_token_names_its_user() {
    let server = server_name!("example.org");
    let user = user_id!("@a.b/c=d:example.org");
    let token = refresh::write(user, &[5; 32]);
    assert_eq!(refresh::user_of(&token, server).as_deref(), Some(user));
    let short = refresh::write(user, &[5; 32]).trim_end_matches(char::is_alphanumeric).to_owned();
    for odd in [
        "",
        "tern_r_",
        "tern_r_.",
        "tern_r_YQ",
        "tern_r_!.!",
        &token[1..],
        &format!("{token}A"),
        &short,
        &"x".repeat(9_999),
    ] {
        assert_eq!(refresh::user_of(odd, server), None, "{odd}");
    }
    let other_server = format!("tern_r_{}.{}", secret::base64(b"a:evil.org"), secret::base64(&[5; 32]));
    assert_eq!(refresh::user_of(&other_server, server), None);
}

#[test]
fn secrets_are_compared_whole() {
    assert!(secret::same("abc", "abc"));
    for other in ["", "ab", "abcd", "ABC"] {
        assert!(!secret::same("abc", other));
    }
}
