//! Other providers and application services: which id tokens are believed, and which names belong to whom.

#![expect(clippy::unwrap_used, reason = "tests")]

mod config;

use ruma::user_id;
use serde_json::{Value, json};
use tern_auth::{
    appservice,
    secret::base64,
    upstream::{Discovery, IdToken, Subject, check, is_state, new_state},
};
use tern_model::{
    Accounts, Config, Jwk, Millis,
    appservice::{Appservice, fingerprint},
    upstream::Provider,
};

const NOW: Millis = Millis(1_800_000_000_000);

fn provider(id: &str) -> Provider {
    let fields = json!({ "id": id, "name": "Example", "issuer": "https://id.example", "client_id": "tern" });
    serde_json::from_value(fields).unwrap()
}

fn service(name: &str, token: &str) -> Appservice {
    let users = json!([
        { "exclusive": true, "regex": format!("@_{name}_.*:example\\.org") },
        { "exclusive": false, "regex": "@shared.*" },
    ]);
    let aliases = json!([{ "exclusive": true, "regex": format!("#_{name}_") }]);
    let fields = json!({
        "id": name, "url": null, "as_token": token, "hs_token": "0123456789abcdef", "sender_localpart": format!("{name}bot"),
        "namespaces": { "users": users, "aliases": aliases, "rooms": null }, "protocols": null, "rate_limited": false,
        "receive_ephemeral": true, "org.matrix.msc3202": true, "io.element.msc4190": true, "ip_range_whitelist": [],
    });
    serde_json::from_value(fields).unwrap()
}

fn config() -> Config {
    let appservices = vec![service("irc", "irc 0123456789abcdef"), service("xmpp", "xmpp 0123456789abcdef")];
    let accounts = Accounts { upstream: vec![provider("ours")], appservices, ..Accounts::default() };
    Config { open_registration: true, accounts, ..config::config() }
}

fn discovery(more: &Value) -> Discovery {
    let mut fields = json!({
        "issuer": "https://id.example", "authorization_endpoint": "https://id.example/authorize?a=b",
        "token_endpoint": "https://id.example/token", "jwks_uri": "https://id.example/keys",
    });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(fields).unwrap()
}

/// The nonce of an attempt, as the provider is told.
fn nonce(state: &str) -> String {
    let url = discovery(&json!({})).authorization_url(&config(), &provider("ours"), state).unwrap();
    let url = url::Url::parse(&url).unwrap();
    url.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned()
}

fn token(header: &Value, claims: &Value) -> Result<IdToken, tern_auth::upstream::Refused> {
    let part = |value: &Value| base64(value.to_string().as_bytes());
    IdToken::read(&format!("{}.{}.{}", part(header), part(claims), base64(b"signature")))
}

fn believed(change: impl Fn(&mut serde_json::Map<String, Value>)) -> Result<Subject, tern_auth::upstream::Refused> {
    let state = new_state(&config(), [1; 16]);
    let now = NOW.0 / 1000;
    let mut claims = json!({
        "iss": "https://id.example", "aud": "tern", "sub": "somebody", "nonce": nonce(&state), "iat": now, "exp": now + 60,
        "preferred_username": "Some.Body@example.com", "name": "Some Body",
    });
    change(claims.as_object_mut().unwrap());
    token(&json!({ "alg": "RS256" }), &claims).unwrap().believe(&config(), &provider("ours"), &state, NOW)
}

#[test]
fn a_state_is_good_only_if_it_was_made_here() {
    let state = new_state(&config(), [1; 16]);
    assert!(is_state(&config(), &state));
    let elsewhere = Config { token_key: vec![8; 32], ..config() };
    assert!(!is_state(&elsewhere, &state));
    for bad in ["", ".", "x", state.get(1..).unwrap(), state.get(..state.len() - 1).unwrap(), &state.replace('.', "")] {
        assert!(!is_state(&config(), bad), "{bad}");
    }
    assert_ne!(nonce(&state), nonce(&new_state(&config(), [2; 16])));
}

#[test]
fn an_id_token_is_believed_for_this_client_this_attempt_and_now() {
    let subject = believed(|_| {}).unwrap();
    assert_eq!(subject.localpart("{preferred_username}").as_deref(), Some("some.body"));
    assert_eq!(subject.fill("{name}!").as_deref(), Some("Some Body!"));
    assert_eq!(subject.fill("{missing}"), None);
    assert!(believed(|claims| drop(claims.insert("aud".into(), json!(["tern"])))).is_ok());
    let two = json!(["tern", "other"]);
    assert!(believed(|claims| { claims.extend([("aud".into(), two.clone()), ("azp".into(), json!("tern"))]) }).is_ok());
    let now = NOW.0 / 1000;
    for (name, value) in [
        ("iss", json!("https://id.example/")),
        ("aud", json!("other")),
        ("aud", two),
        ("aud", json!(null)),
        ("azp", json!("other")),
        ("exp", json!(now - 61)),
        ("exp", json!("tomorrow")),
        ("iat", json!(now + 61)),
        ("nbf", json!(now + 61)),
        ("nonce", json!("other")),
        ("nonce", json!(null)),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("x".repeat(256))),
    ] {
        assert!(believed(|claims| drop(claims.insert(name.into(), value.clone()))).is_err(), "{name} {value}");
    }
}

#[test]
fn only_known_algorithms_with_a_key_of_their_kind() {
    for header in
        [json!({ "alg": "none" }), json!({ "alg": "HS256" }), json!({ "alg": "RS256", "crit": ["x"] }), json!({})]
    {
        assert!(token(&header, &json!({})).is_err(), "{header}");
    }
    let key = |kid: &str, kty: &str| -> Jwk {
        serde_json::from_value(json!({ "kid": kid, "kty": kty, "crv": "P-256" })).unwrap()
    };
    let keys = [key("a", "RSA"), key("b", "RSA"), key("c", "EC"), key("d", "oct")];
    let chosen = |header: Value| {
        let token = token(&header, &json!({})).unwrap();
        token.key(&keys).and_then(|key| key.get("kid")?.as_str().map(str::to_owned))
    };
    assert_eq!(chosen(json!({ "alg": "RS256", "kid": "b" })).as_deref(), Some("b"));
    assert_eq!(chosen(json!({ "alg": "ES256" })).as_deref(), Some("c"), "the only one of its kind");
    assert_eq!(chosen(json!({ "alg": "RS256" })), None, "two would fit");
    assert_eq!(chosen(json!({ "alg": "ES256", "kid": "a" })), None);
    assert_eq!(chosen(json!({ "alg": "RS256", "kid": "d" })), None);
}

#[test]
fn an_answer_is_of_the_provider_that_was_asked() {
    let (quiet, strict) =
        (discovery(&json!({})), discovery(&json!({ "authorization_response_iss_parameter_supported": true })));
    assert!(quiet.answers_as(None) && quiet.answers_as(Some("https://id.example")));
    assert!(strict.answers_as(Some("https://id.example")) && !strict.answers_as(None));
    assert!(!quiet.answers_as(Some("https://evil.example")) && !strict.answers_as(Some("https://id.example/")));
}

#[test]
fn providers_can_be_told_apart() {
    assert!(check(&[provider("one"), provider("the-other.1")]).is_ok());
    assert!(check(&[provider("one"), provider("one")]).is_err());
    assert!(check(&[provider("")]).is_err() && check(&[provider("a b")]).is_err());
}

#[test]
fn a_token_is_one_service_and_its_registration_must_be_usable() {
    let config = config();
    let by = |token: &str| appservice::by_token(&config, token).map(|service| service.id.as_str());
    assert_eq!((by("irc 0123456789abcdef"), by("xmpp 0123456789abcdef")), (Some("irc"), Some("xmpp")));
    assert_eq!((by(""), by("irc 0123456789abcde"), by("0123456789abcdef")), (None, None, None));
    assert!(appservice::check(&config.accounts.appservices).is_ok());
    let twice = |one: Appservice, other: Appservice| appservice::check(&[one, other]).is_err();
    assert!(twice(service("a", "same 0123456789abcdef"), service("b", "same 0123456789abcdef")));
    assert!(twice(service("a", "one 0123456789abcdef"), service("a", "other 0123456789abcdef")));
    assert!(appservice::check(&[service("a", "short")]).is_err());
    assert!(appservice::check(&[service("(", "one 0123456789abcdef")]).is_err());
    assert!(appservice::check(&[service(&"x".repeat(201), "one 0123456789abcdef")]).is_err());
    let irc = config.accounts.appservices.first().unwrap();
    assert!(irc.receive_ephemeral && irc.encrypts && !irc.push_ephemeral && irc.protocols.is_empty());
    let nameless = Appservice { sender_localpart: String::new(), ..service("a", "one 0123456789abcdef") };
    assert!(appservice::check(&[nameless]).is_err());
}

#[test]
fn names_belong_to_a_service_or_to_everybody() {
    let config = config();
    let irc = config.accounts.appservices.first().unwrap();
    for (user_id, irc_owns, irc_makes, anybody_makes) in [
        (user_id!("@_irc_x:example.org"), true, true, false),
        (user_id!("@ircbot:example.org"), true, true, false),
        (user_id!("@_xmpp_x:example.org"), false, false, false),
        (user_id!("@xmppbot:example.org"), false, false, false),
        (user_id!("@shared_x:example.org"), true, true, true),
        (user_id!("@alice:example.org"), false, true, true),
        (user_id!("@x_irc_x:example.org"), false, true, true),
        (user_id!("@shared:elsewhere.example"), false, true, true),
    ] {
        assert_eq!(appservice::owns_user(&config, irc, user_id), irc_owns, "{user_id}");
        assert_eq!(appservice::check_user(&config, Some(irc), user_id).is_ok(), irc_makes, "{user_id}");
        assert_eq!(appservice::check_user(&config, None, user_id).is_ok(), anybody_makes, "{user_id}");
    }
    let other = |text: &str| {
        serde_json::from_value::<Vec<Appservice>>(json!([{
            "id": "irc", "url": "https://b.example/", "as_token": "a", "hs_token": "h", "sender_localpart": "b",
            "namespaces": { "rooms": [{ "regex": text }] },
        }]))
        .unwrap()
    };
    assert_eq!(fingerprint(&other("!a")), fingerprint(&other("!a")));
    assert_ne!(
        fingerprint(&other("!a")),
        fingerprint(&other("!b")),
        "what rooms remember of another registration is nothing"
    );
    let alias = |by, alias: &str| appservice::check_alias(&config, by, alias).is_ok();
    assert!(alias(Some(irc), "#_irc_x:example.org") && !alias(None, "#_irc_x:example.org"));
    assert!(!alias(Some(irc), "#_xmpp_x:example.org") && alias(None, "#x:example.org"));
}
