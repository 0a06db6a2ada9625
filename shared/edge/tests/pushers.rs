//! What a client may ask for of pushers, and with which code everything else is refused.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{cell::RefCell, rc::Rc};

use ruma::user_id;
use serde_json::{Value, json};
use tern_edge::pushers;
use tern_model::{Millis, RawJson};
use tern_ports::{
    Clock, Outbound, Target, Transport, Unreachable,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::{Done, StorageCommand, UserCommand, policy::Standing, user::SessionRef},
};
use tern_testkit::{Executor, Network, Routes, network::reply};

struct Edge {
    hubs: Rc<Routes>,
    reach: Reach,
}

impl Transport for Edge {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.hubs.exchange(target.clone(), frame).await
    }

    fn standing(&self) -> Standing {
        Standing::Good
    }
}

impl Clock for Edge {
    fn now(&self) -> Millis {
        Millis(1)
    }
}

impl Outbound for Edge {
    fn reach(&self) -> Reach {
        self.reach
    }

    async fn exchange(&self, _: &HttpRequest, _: &Bounds) -> Result<HttpAnswer, HttpError> {
        Err(HttpError::Refused("nobody is asked"))
    }
}

fn body() -> Value {
    json!({
        "app_id": "org.example.app", "pushkey": "key", "kind": "http", "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en", "profile_tag": "tag", "append": false,
        "data": {"url": "https://push.example.org/_matrix/push/v1/notify", "format": "event_id_only"},
    })
}

/// The code of the refusal, or the command that the hub got.
fn set(body: &Value, reach: Reach) -> Result<UserCommand, String> {
    let hubs = registry(&[]);
    let asked = RefCell::new(None);
    let edge = Edge { hubs: Rc::clone(&hubs), reach };
    let session = SessionRef { device_id: "PHONE".into(), session_id: "s".to_owned() };
    let body = RawJson::from_value(body).unwrap();
    let set = Executor::new().run(pushers::set(&edge, user_id!("@a:x"), session, &body));
    set.map_err(|error| format!("{} {}", error.status, error.errcode))?;
    asked.replace(hubs.sent_to_users().pop());
    Ok(asked.take().unwrap().1)
}

/// Hubs that do as they are told, and a registry in which the device is these users'.
fn registry(known: &'static [&'static str]) -> Rc<Routes> {
    let hubs = Routes::new();
    hubs.users(|_, _| reply(Done {}));
    hubs.storage(move |command| match command {
        StorageCommand::FindPushkey(_) => reply(known),
        _ => reply(Done {}),
    });
    hubs
}

/// Whose pusher goes, and what is noted, when `@a:x` sets one for a device of these users.
fn taken_over(known: &'static [&'static str], append: bool) -> (Vec<String>, Vec<bool>) {
    let edge = Edge { hubs: registry(known), reach: Reach::Public };
    let session = SessionRef { device_id: "PHONE".into(), session_id: "s".to_owned() };
    let body = RawJson::from_value(&with("/append", json!(append))).unwrap();
    Executor::new().run(pushers::set(&edge, user_id!("@a:x"), session, &body)).unwrap();
    let gone = edge
        .hubs
        .sent_to_users()
        .into_iter()
        .filter(|(_, command)| matches!(command, UserCommand::DeletePusher(command) if command.session.is_none()));
    let saved = edge.hubs.sent_to_storage().into_iter().filter_map(|command| match command {
        StorageCommand::SavePushkey(command) => Some(command.append),
        _ => None,
    });
    (gone.map(|(user_id, _)| user_id.to_string()).collect(), saved.collect())
}

#[test]
fn a_device_is_taken_from_whoever_had_it_unless_they_share_it() {
    assert_eq!(taken_over(&[], false), (vec![], vec![false]));
    assert_eq!(taken_over(&["@a:x"], false), (vec![], vec![]), "nothing is new");
    assert_eq!(taken_over(&["@b:x", "@c:x"], false), (vec!["@b:x".to_owned(), "@c:x".to_owned()], vec![false]));
    assert_eq!(taken_over(&["@b:x"], true), (vec![], vec![true]));
    assert_eq!(taken_over(&["@a:x", "@b:x"], true), (vec![], vec![]));
}

fn with(path: &str, value: Value) -> Value {
    let mut body = body();
    *body.pointer_mut(path).unwrap() = value;
    body
}

fn without(key: &str) -> Value {
    let mut body = body();
    body.as_object_mut().unwrap().remove(key);
    body
}

fn url(url: &str) -> Value {
    with("/data/url", json!(url))
}

#[test]
fn a_pusher_is_set_as_it_is_asked_for() {
    let UserCommand::SetPusher(command) = set(&body(), Reach::Public).unwrap() else { panic!("another command") };
    assert_eq!((command.app_id.as_str(), command.pushkey.as_str()), ("org.example.app", "key"));
    assert!(command.pusher.enabled);
    assert_eq!(command.pusher.profile_tag.as_deref(), Some("tag"));
    let mut disabled = body();
    disabled["org.matrix.msc3881.enabled"] = json!(false);
    let UserCommand::SetPusher(command) = set(&disabled, Reach::Public).unwrap() else { panic!("another command") };
    assert!(!command.pusher.enabled);
    let deletion = json!({"app_id": "a", "pushkey": "k", "kind": null});
    assert!(matches!(set(&deletion, Reach::Public).unwrap(), UserCommand::DeletePusher(_)));
}

#[test]
fn what_is_missing_is_named_as_missing() {
    for key in ["app_id", "pushkey", "kind", "app_display_name", "device_display_name", "lang", "data"] {
        assert_eq!(set(&without(key), Reach::Public).unwrap_err(), "400 M_MISSING_PARAM", "{key}");
    }
    assert_eq!(set(&with("/data", json!({})), Reach::Public).unwrap_err(), "400 M_MISSING_PARAM");
    assert_eq!(set(&with("/data", json!(null)), Reach::Public).unwrap_err(), "400 M_MISSING_PARAM");
    assert_eq!(set(&json!({"kind": null, "app_id": "a"}), Reach::Public).unwrap_err(), "400 M_MISSING_PARAM");
}

#[test]
fn what_is_wrong_is_named_as_invalid() {
    let long = |length: usize| json!("x".repeat(length));
    for (path, value) in [
        ("/kind", json!("email")),
        ("/kind", json!(7)),
        ("/app_id", json!("")),
        ("/app_id", long(65)),
        ("/app_id", json!(7)),
        ("/pushkey", json!("")),
        ("/pushkey", long(513)),
        ("/pushkey", json!(["key"])),
        ("/lang", long(256)),
        ("/app_display_name", json!(7)),
        ("/profile_tag", json!(7)),
        ("/append", json!("true")),
        ("/data", json!("https://push.example.org")),
        ("/data/format", json!(7)),
        ("/data/format", long(5_000)),
    ] {
        assert_eq!(
            set(&with(path, value.clone()), Reach::Public).unwrap_err(),
            "400 M_INVALID_PARAM",
            "{path}: {value}"
        );
    }
}

#[test]
fn gateways_are_at_public_addresses_with_the_one_path() {
    for bad in [
        "http://push.example.org/_matrix/push/v1/notify",
        "https://push.example.org/_matrix/push/v1/notify/",
        "https://push.example.org/",
        "https://user@push.example.org/_matrix/push/v1/notify",
        "https://push.example.org/_matrix/push/v1/notify#x",
        "https://127.0.0.1/_matrix/push/v1/notify",
        "https://169.254.169.254/_matrix/push/v1/notify",
        "https://localhost/_matrix/push/v1/notify",
        "/_matrix/push/v1/notify",
        "",
    ] {
        assert_eq!(set(&url(bad), Reach::Public).unwrap_err(), "400 M_INVALID_PARAM", "{bad}");
    }
    let long = format!("https://push.example.org/_matrix/push/v1/notify?{}", "x".repeat(2_048));
    assert_eq!(set(&url(&long), Reach::Public).unwrap_err(), "400 M_INVALID_PARAM");
    assert!(set(&url("http://127.0.0.1:8080/_matrix/push/v1/notify"), Reach::Anywhere).is_ok());
    assert!(set(&url("https://push.example.org:8443/_matrix/push/v1/notify?key=1"), Reach::Public).is_ok());
}
