//! Interactive authentication over several requests, and login tokens.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

mod edge;

use edge::{Edge, code, config};
use futures::future::join_all;
use ruma::user_id;
use serde_json::{Value, json};
use tern_auth::uia::{Auth, Parameters};
use tern_edge::{
    account::{make_login_token, prove},
    register::{add_user, register},
    session::{SignedIn, login},
    uia::{FallbackProof, complete_fallback},
};
use tern_model::{Config, MatrixError, Millis};
use tern_ports::{
    Clock, ask_storage,
    wire::accounts::{CreateRegistrationToken, RegistrationToken},
};

/// Terms, then a registration token.
fn two_stages() -> Config {
    let mut config = Config { open_registration: false, unlimited: true, ..config() };
    config.accounts.registration_tokens = true;
    config.accounts.terms.insert("privacy_policy".to_owned(), json!({ "version": "1" }));
    config
}

fn token(edge: &Edge, token: &str, uses_allowed: Option<u64>) {
    let token =
        RegistrationToken { token: token.to_owned(), uses_allowed, completed: 0, expires: None, created: Millis(1) };
    edge.run(ask_storage(edge, CreateRegistrationToken { token })).unwrap();
}

fn body(name: &str, auth: Value) -> Value {
    json!({ "username": name, "password": "secret", "inhibit_login": true, "auth": auth })
}

fn sign_up(edge: &Edge, config: &Config, name: &str, auth: Value) -> Result<SignedIn, MatrixError> {
    edge.run(register(edge, config, serde_json::from_value(body(name, auth)).unwrap(), None))
}

fn challenge(result: Result<SignedIn, MatrixError>) -> Value {
    let error = result.unwrap_err();
    assert_eq!(error.status, 401);
    error.to_json()
}

fn stage(session: &Value, kind: &str) -> Value {
    json!({ "type": kind, "session": session, "token": "sesame" })
}

const TERMS: &str = "m.login.terms";
const TOKEN: &str = "m.login.registration_token";

#[test]
fn stages_are_remembered_between_requests_in_any_order_and_a_session_works_once() {
    let (edge, config) = (Edge::new(), two_stages());
    token(&edge, "sesame", None);
    let first = challenge(sign_up(&edge, &config, "anna", Value::Null));
    assert_eq!(first["flows"], json!([{ "stages": [TERMS, TOKEN] }]));
    let session = &first["session"];
    let second = challenge(sign_up(&edge, &config, "anna", stage(session, TOKEN)));
    assert_eq!((&second["completed"], &second["session"], second.get("errcode")), (&json!([TOKEN]), session, None));
    let wrong = challenge(sign_up(&edge, &config, "anna", stage(session, "m.login.dummy")));
    assert_eq!((&wrong["completed"], &wrong["errcode"]), (&json!([TOKEN]), &json!("M_FORBIDDEN")));
    assert_eq!(sign_up(&edge, &config, "anna", stage(session, TERMS)).unwrap().user_id, "@anna:example.org");

    let again = challenge(sign_up(&edge, &config, "bert", stage(session, TERMS)));
    assert_eq!(again["completed"], json!([TERMS]), "what the first registration used is gone");
}

#[test]
fn a_completed_session_opens_once_for_any_number_of_requests_at_once() {
    let (edge, config) = (Edge::new(), two_stages());
    token(&edge, "sesame", None);
    let session = challenge(sign_up(&edge, &config, "anna", Value::Null))["session"].clone();
    challenge(sign_up(&edge, &config, "anna", stage(&session, TOKEN)));
    let attempt = |number: usize| {
        let body = body(&format!("user{number}"), stage(&session, TERMS));
        register(&edge, &config, serde_json::from_value(body).unwrap(), None)
    };
    let results = edge.run(join_all((0..20).map(attempt)));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

#[test]
fn a_registration_token_lets_in_as_many_as_it_says() {
    let edge = Edge::new();
    let mut config = two_stages();
    config.accounts.terms.clear();
    token(&edge, "sesame", Some(1));
    let auth = json!({ "type": TOKEN, "token": "sesame" });
    let attempt = |number: usize| {
        let body = body(&format!("user{number}"), auth.clone());
        register(&edge, &config, serde_json::from_value(body).unwrap(), None)
    };
    let results = edge.run(join_all((0..10).map(attempt)));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for auth in [auth, json!({ "type": TOKEN, "token": "simsim" }), json!({ "type": TOKEN })] {
        assert_eq!(challenge(sign_up(&edge, &config, "late", auth))["errcode"], "M_FORBIDDEN");
    }
}

#[test]
fn a_session_for_one_thing_is_not_good_for_another() {
    let (edge, config) = (Edge::new(), config());
    edge.run(add_user(&edge, &config, "alice", "secret", false)).unwrap();
    let alice = user_id!("@alice:example.org");
    let try_to = |operation: &str, auth: Option<Value>| {
        let auth = auth.map(|auth| serde_json::from_value(auth).unwrap());
        edge.run(prove(&edge, &config, alice, (operation, Parameters::default()), auth.as_ref(), None))
    };
    let session = try_to("delete_devices", None).unwrap_err().to_json()["session"].clone();
    let mut auth = json!({ "type": "m.login.password", "user": "alice", "password": "secret", "session": session });
    assert_eq!(code(try_to("deactivate", Some(auth.clone()))), (401, "M_FORBIDDEN".to_owned()));
    try_to("delete_devices", Some(auth.clone())).unwrap();
    for bogus in ["m.login.bogus", "m.login.dummy", "m.login.token", ""] {
        auth["type"] = bogus.into();
        assert_eq!(code(try_to("delete_devices", Some(auth.clone()))), (401, "M_FORBIDDEN".to_owned()), "{bogus}");
    }
}

#[test]
fn what_was_confirmed_is_what_is_carried_out() {
    let edge = Edge::new();
    let mut config = Config { unlimited: true, ..config() };
    let provider = json!({ "id": "p", "name": "P", "issuer": "https://p.example", "client_id": "c" });
    config.accounts.upstream = vec![serde_json::from_value(provider).unwrap()];
    let alice = user_id!("@alice:example.org");
    let delete = |path: &[&str], body: Value| {
        let parameters = Parameters::of(path.iter().copied(), body.to_string().as_bytes());
        let auth: Option<Auth> = serde_json::from_value(body["auth"].clone()).unwrap();
        edge.run(prove(&edge, &config, alice, ("delete_devices", parameters), auth.as_ref(), None))
    };
    let session = delete(&[], json!({ "devices": ["OLD"] })).unwrap_err().to_json()["session"].clone();
    let session = session.as_str().unwrap();
    let signed_in = FallbackProof::SignedIn(alice.to_owned());
    edge.run(complete_fallback(&edge, &config, session, signed_in, None)).unwrap();
    let auth = json!({ "session": session });
    for other in [json!({ "devices": ["PHONE"], "auth": auth }), json!({ "devices": ["OLD", "PHONE"], "auth": auth })] {
        assert_eq!(code(delete(&[], other)).0, 401);
    }
    assert_eq!(code(delete(&["PHONE"], json!({ "devices": ["OLD"], "auth": auth }))).0, 401, "another path");
    delete(&[], json!({ "auth": auth, "devices": ["OLD"] })).unwrap();
}

#[test]
fn a_login_token_signs_in_once_and_soon() {
    let (edge, config) = (Edge::new(), Config { unlimited: true, ..config() });
    let alice = user_id!("@alice:example.org");
    let sign_in = |token: &str| {
        let body = json!({ "type": "m.login.token", "token": token });
        login(&edge, &config, serde_json::from_value(body).unwrap(), None)
    };
    let token = edge.run(make_login_token(&edge, &config, alice)).unwrap();
    let results = edge.run(join_all((0..50).map(|_| sign_in(&token))));
    let users: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).map(|user| &user.user_id).collect();
    assert_eq!(users, [alice]);

    let late = edge.run(make_login_token(&edge, &config, alice)).unwrap();
    let gates = edge.gates.borrow().len();
    let unknown = format!("tern_l_{}", "A".repeat(64));
    let altered = format!("{}A", late.get(..late.len() - 1).unwrap());
    let elsewhere = Config { token_key: vec![8; 32], ..config.clone() };
    let (foreign, _) = tern_auth::login_token::make(&elsewhere, edge.clock.now(), [1; 24]);
    edge.clock.advance(120_000);
    for odd in [&late, &token, &unknown, &altered, &foreign, "tern_l_", "tern_l_AAAA", "", &"x".repeat(9_999)] {
        assert_eq!(code(edge.run(sign_in(odd))), (403, "M_FORBIDDEN".to_owned()));
    }
    assert_eq!(edge.gates.borrow().len(), gates, "no object was asked, and so none was made");
}
