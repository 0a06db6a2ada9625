//! What application services are asked while a client waits.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "other tests need more of it")]
mod edge;

use ruma::user_id;
use serde_json::{Value, json};
use tern_edge::services::{self, Lookup};
use tern_model::{Accounts, Config};
use tern_testkit::{Executor, TestWeb, web::Page};

const IRC: &str = "https://irc.example/_matrix/app/v1/thirdparty/protocol/irc";
const OTHER: &str = "https://other.example/_matrix/app/v1/thirdparty/protocol/irc";

fn config() -> Config {
    let service = |id: &str| {
        json!({
            "id": id, "url": format!("https://{id}.example/"), "as_token": "a", "hs_token": format!("secret of {id}"),
            "sender_localpart": format!("{id}bot"), "protocols": ["irc"],
            "namespaces": {
                "users": [{ "exclusive": true, "regex": format!("@_{id}_.*") }],
                "aliases": [{ "exclusive": true, "regex": format!("#_{id}_.*") }],
            },
        })
    };
    let appservices = serde_json::from_value(json!([service("irc"), service("other")])).unwrap();
    Config { accounts: Accounts { appservices, ..Accounts::default() }, ..edge::config() }
}

fn json(body: &Value) -> Page {
    Page::of("application/json", body.to_string())
}

fn run<T>(work: impl Future<Output = T>) -> T {
    Executor::new().run(work)
}

#[test]
fn networks_are_those_of_all_services_that_answer() {
    let described =
        |network: &str| json(&json!({ "icon": network, "instances": [{ "network_id": network, "desc": "" }] }));
    let web = TestWeb::of([(IRC, described("libera")), (OTHER, described("oftc"))]);
    let protocols = run(services::protocols(&web, &config()));
    assert_eq!(protocols["irc"]["icon"], "libera");
    let ids: Vec<_> = protocols["irc"]["instances"].as_array().unwrap().iter().map(|one| &one["instance_id"]).collect();
    assert_eq!(ids, ["irc|libera", "other|oftc"]);
    assert!(
        web.asked.borrow().iter().any(|asked| asked.headers.iter().any(|(_, value)| value == "Bearer secret of irc"))
    );
    for broken in [
        Page { status: 500, ..described("x") },
        json(&json!([])),
        Page::of("text/html", "<html>"),
        Page::of("", "x".repeat(70_000)),
    ] {
        let web = TestWeb::of([(IRC, broken), (OTHER, described("oftc"))]);
        assert_eq!(run(services::protocols(&web, &config()))["irc"]["icon"], "oftc");
    }
    assert!(run(services::protocols(&TestWeb::of([]), &config())).is_empty());
}

#[test]
fn what_is_looked_up_is_looked_up_everywhere_without_the_tokens_of_clients() {
    let rooms = "https://irc.example/_matrix/app/v1/thirdparty/location/irc?channel=%23tern";
    let web = TestWeb::of([(rooms, json(&json!([{ "alias": "#a:b" }])))]);
    let query = [("channel".to_owned(), "#tern".to_owned()), ("access_token".to_owned(), "secret".to_owned())];
    let found = run(services::look_up(&web, &config(), Lookup::Location, Some("irc"), &query)).unwrap();
    assert_eq!(found, [json!({ "alias": "#a:b" })]);
    assert_eq!(run(services::look_up(&web, &config(), Lookup::User, Some("xmpp"), &query)), None);
    assert_eq!(run(services::look_up(&web, &config(), Lookup::User, None, &[])), Some(Vec::new()));
}

#[test]
fn unknown_names_are_asked_of_the_service_whose_they_are() {
    let alias = "https://irc.example/_matrix/app/v1/rooms/%23_irc_a%3Aexample.org";
    let user = "https://other.example/_matrix/app/v1/users/%40_other_a%3Aexample.org";
    let web = TestWeb::of([(alias, json(&json!({}))), (user, json(&json!({})))]);
    let config = config();
    let makes_alias = |alias: &str| run(services::makes_alias(&web, &config, alias));
    assert!(makes_alias("#_irc_a:example.org") && !makes_alias("#_irc_b:example.org"));
    let asked = web.asked.borrow().len();
    assert!(!makes_alias("#a:example.org"));
    assert_eq!(web.asked.borrow().len(), asked, "it is nobody's");
    assert!(run(services::makes_user(&web, &config, user_id!("@_other_a:example.org"))));
    assert!(!run(services::makes_user(&web, &config, user_id!("@_irc_a:example.org"))));
}
