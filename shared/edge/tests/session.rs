//! Signing up, in and out.

#![expect(clippy::unwrap_used, reason = "tests")]

mod edge;

use edge::{Edge, code, config};
use ruma::user_id;
use serde_json::{Value, json};
use tern_auth::{
    token::verify,
    uia::{Auth, Parameters},
};
use tern_edge::{
    register::{add_user, check_available, register},
    session::{SignedIn, delete_devices, login, logout, logout_all, refresh},
};
use tern_model::{Config, MatrixError};
use tern_ports::wire::{UserCommand, user::SessionRef};

fn sign_up(edge: &Edge, config: &Config, body: Value) -> Result<SignedIn, MatrixError> {
    edge.run(register(edge, config, serde_json::from_value(body).unwrap(), None))
}

fn sign_in(edge: &Edge, body: Value) -> Result<SignedIn, MatrixError> {
    edge.run(login(edge, &config(), serde_json::from_value(body).unwrap(), Some("192.0.2.1".to_owned())))
}

fn alice(edge: &Edge) {
    edge.run(add_user(edge, &config(), "Alice", "secret", false)).unwrap();
}

fn session() -> SessionRef {
    SessionRef { device_id: "DEVICE".into(), session_id: "session".to_owned() }
}

fn closed(edge: &Edge) -> Vec<Option<Vec<String>>> {
    let sent = edge.hubs.sent_to_users().into_iter();
    sent.filter_map(|(_, command)| match command {
        UserCommand::CloseSessions(close) => {
            Some(close.devices.map(|devices| devices.iter().map(ToString::to_string).collect()))
        }
        _ => None,
    })
    .collect()
}

#[test]
fn open_registration_challenges_once_and_signs_in() {
    let edge = Edge::new();
    let body = json!({ "username": "Alice", "password": "secret", "device_id": "PHONE" });
    let challenge = sign_up(&edge, &config(), body.clone()).unwrap_err();
    assert_eq!(challenge.status, 401);
    let challenge = challenge.to_json();
    assert_eq!(challenge["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    assert_eq!(challenge.get("errcode"), None);

    let mut body = body;
    body["auth"] = json!({ "type": "m.login.dummy", "session": challenge["session"] });
    let answer = sign_up(&edge, &config(), body.clone()).unwrap();
    let json = serde_json::to_value(&answer).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["access_token", "device_id", "user_id"]);
    assert_eq!((&json["user_id"], &json["device_id"]), (&json!("@alice:example.org"), &json!("PHONE")));
    let verified = verify(&config(), json["access_token"].as_str().unwrap(), edge.clock.now_plus_a_year()).unwrap();
    assert_eq!((verified.caller.device_id.as_str(), verified.session_id.as_str()), ("PHONE", "session"));

    assert_eq!(code(sign_up(&edge, &config(), body)), (400, "M_USER_IN_USE".to_owned()));
}

trait Later {
    fn now_plus_a_year(&self) -> tern_model::Millis;
}

impl Later for tern_testkit::TestClock {
    fn now_plus_a_year(&self) -> tern_model::Millis {
        use tern_ports::Clock;
        self.now().plus(365 * 24 * 3_600_000)
    }
}

#[test]
fn a_name_is_judged_before_the_challenge() {
    let edge = Edge::new();
    alice(&edge);
    for (name, errcode) in [("alice", "M_USER_IN_USE"), ("ALICE", "M_USER_IN_USE"), ("a b", "M_INVALID_USERNAME")] {
        let refused = (400, errcode.to_owned());
        assert_eq!(code(sign_up(&edge, &config(), json!({ "username": name }))), refused);
        assert_eq!(code(edge.run(check_available(&edge, &config(), name))), refused);
    }
    edge.run(check_available(&edge, &config(), "bob")).unwrap();
}

#[test]
fn closed_registration_is_closed_and_a_token_opens_it() {
    let edge = Edge::new();
    let closed = Config { open_registration: false, ..config() };
    let dummy = json!({ "username": "bob", "password": "x", "auth": { "type": "m.login.dummy" } });
    assert_eq!(code(sign_up(&edge, &closed, dummy.clone())), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(code(edge.run(check_available(&edge, &closed, "bob"))), (403, "M_FORBIDDEN".to_owned()));

    let invited = Config { registration_token: Some("sesame".to_owned()), ..closed };
    assert_eq!(code(sign_up(&edge, &invited, dummy)), (401, "M_FORBIDDEN".to_owned()));
    let with = |token: &str| {
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        sign_up(&edge, &invited, json!({ "username": "bob", "password": "x", "auth": auth }))
    };
    assert_eq!(code(with("simsim")), (401, "M_FORBIDDEN".to_owned()));
    assert_eq!(with("sesame").unwrap().user_id, "@bob:example.org");
}

#[test]
fn registration_without_login_and_without_a_name() {
    let edge = Edge::new();
    let auth = json!({ "type": "m.login.dummy" });
    let body = json!({ "password": "x", "inhibit_login": true, "auth": auth });
    let one = serde_json::to_value(sign_up(&edge, &config(), body.clone()).unwrap()).unwrap();
    let two = serde_json::to_value(sign_up(&edge, &config(), body).unwrap()).unwrap();
    assert_eq!(one.as_object().unwrap().len(), 1);
    assert_ne!(one["user_id"], two["user_id"]);
    assert_eq!(edge.hubs.sent_to_users().len(), 0);
}

#[test]
fn a_refused_registration_makes_no_user() {
    let edge = Edge::new();
    let auth = json!({ "type": "m.login.dummy" });
    for (body, errcode) in [
        (json!({ "username": "bob", "auth": auth }), "M_MISSING_PARAM"),
        (json!({ "username": "bob", "auth": auth, "password": "" }), "M_WEAK_PASSWORD"),
        (json!({ "username": "bob", "auth": auth, "password": "x", "device_id": "" }), "M_INVALID_PARAM"),
        (json!({ "username": "bob", "auth": auth, "password": "x", "device_id": "D".repeat(256) }), "M_INVALID_PARAM"),
    ] {
        assert_eq!(code(sign_up(&edge, &config(), body)), (400, errcode.to_owned()));
    }
    edge.run(check_available(&edge, &config(), "bob")).unwrap();
}

#[test]
fn login_takes_name_or_id_in_new_or_old_form() {
    let edge = Edge::new();
    alice(&edge);
    for who in [
        json!({ "identifier": { "type": "m.id.user", "user": "alice" } }),
        json!({ "identifier": { "type": "m.id.user", "user": "@alice:example.org" } }),
        json!({ "user": "Alice" }),
    ] {
        let mut body = json!({ "type": "m.login.password", "password": "secret" });
        body.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        assert_eq!(sign_in(&edge, body).unwrap().user_id, "@alice:example.org");
    }
}

#[test]
fn a_wrong_name_and_a_wrong_password_get_the_same_refusal() {
    let edge = Edge::new();
    alice(&edge);
    let refused = |user: &str, password: &str| {
        let identifier = json!({ "type": "m.id.user", "user": user });
        sign_in(&edge, json!({ "type": "m.login.password", "identifier": identifier, "password": password }))
            .unwrap_err()
    };
    let wrong = refused("alice", "Secret");
    assert_eq!((wrong.status, wrong.errcode.as_ref()), (403, "M_FORBIDDEN"));
    for (user, password) in [("bob", "secret"), ("@alice:example.com", "secret"), ("", "secret"), ("alice", "")] {
        assert_eq!(refused(user, password), wrong, "{user}");
    }
    assert_eq!(code(sign_in(&edge, json!({ "type": "m.login.dummy" }))), (400, "M_UNKNOWN".to_owned()));
    assert_eq!(
        code(sign_in(&edge, json!({ "type": "m.login.password", "user": "x" }))),
        (400, "M_MISSING_PARAM".to_owned())
    );
    assert_eq!(edge.hubs.sent_to_users().len(), 0);
}

#[test]
fn a_client_that_refreshes_gets_short_tokens() {
    let edge = Edge::new();
    alice(&edge);
    let body = json!({ "type": "m.login.password", "user": "alice", "password": "secret", "refresh_token": true });
    let json = serde_json::to_value(sign_in(&edge, body).unwrap()).unwrap();
    assert_eq!(json["expires_in_ms"], 300_000);
    let first = json["refresh_token"].as_str().unwrap().to_owned();
    let second = edge.run(refresh(&edge, &config(), first.clone())).unwrap();
    assert_eq!(second.expires_in_ms, Some(300_000));
    assert_ne!(second.access_token, json["access_token"].as_str().unwrap());
    assert_ne!(second.refresh_token.as_deref(), Some(first.as_str()));
    for odd in ["", "nonsense", "tern_r_YQ.YQ"] {
        assert_eq!(code(edge.run(refresh(&edge, &config(), odd.to_owned()))), (401, "M_UNKNOWN_TOKEN".to_owned()));
    }
}

#[test]
fn logout_closes_one_session_or_all() {
    let edge = Edge::new();
    edge.run(logout(&edge, user_id!("@alice:example.org"), session())).unwrap();
    edge.run(logout_all(&edge, user_id!("@alice:example.org"), session())).unwrap();
    assert_eq!(closed(&edge), [Some(vec!["DEVICE".to_owned()]), None]);
}

#[test]
fn deleting_devices_takes_the_own_password() {
    let edge = Edge::new();
    alice(&edge);
    edge.run(add_user(&edge, &config(), "bob", "hidden", false)).unwrap();
    let delete = |auth: Option<Value>| {
        let auth: Option<Auth> = auth.map(|auth| serde_json::from_value(auth).unwrap());
        let devices = vec!["OLD".into()];
        edge.run(delete_devices(
            &edge,
            &config(),
            user_id!("@alice:example.org"),
            session(),
            devices,
            Parameters::default(),
            auth.as_ref(),
        ))
    };
    let password = |user: &str, password: &str| {
        Some(json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user }, "password": password,
        }))
    };
    let challenge = delete(None).unwrap_err();
    assert_eq!(
        (challenge.status, challenge.to_json()["flows"].clone()),
        (401, json!([{ "stages": ["m.login.password"] }]))
    );
    for (user, secret) in
        [("alice", "wrong"), ("bob", "hidden"), ("nobody", "secret"), ("@alice:example.com", "secret")]
    {
        let refused = delete(password(user, secret)).unwrap_err();
        assert_eq!((refused.status, refused.errcode.as_ref()), (401, "M_FORBIDDEN"), "{user}");
    }
    assert_eq!(code(delete(Some(json!({ "type": "m.login.dummy" })))), (401, "M_FORBIDDEN".to_owned()));
    assert_eq!(closed(&edge).len(), 0);
    delete(password("alice", "secret")).unwrap();
    assert_eq!(closed(&edge), [Some(vec!["OLD".to_owned()])]);
}
