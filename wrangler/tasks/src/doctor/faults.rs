//! Planted faults: facts of a healthy deployment with one thing changed, and the check that must name it.

use serde_json::{Value, json};

use super::verdict::Outcome;
use super::{Verdicts, as_text, examine, machine_readable};

const NOW_MS: u64 = 1_790_000_000_000;
const DATE: &str = "Mon, 21 Sep 2026 14:13:20 GMT";

fn answer(path: &str, status: u16, body: &Value) -> Value {
    let headers = json!({
        "access-control-allow-origin": "*", "alt-svc": "h3=\":443\"; ma=86400", "cf-ray": "8f-FRA",
        "content-type": "application/json", "date": DATE, "server": "cloudflare",
    });
    let url = format!("https://matrix.example.org{path}");
    let body = body.to_string();
    json!({ "url": url, "status": status, "headers": headers, "bytes": body.len(), "body": body, "at_ms": NOW_MS })
}

fn refused(status: u16, errcode: &str) -> Value {
    answer("/_matrix/client/v3/something", status, &json!({ "errcode": errcode, "error": "…" }))
}

fn healthy() -> Value {
    json!({
        "base": "https://matrix.example.org", "host": "matrix.example.org", "server_name": "example.org",
        "dns": { "addresses": ["192.0.2.1"] },
        "tls": { "protocol": "TLSv1.3", "alpn": "h2", "expires_ms": NOW_MS + 60 * 86_400_000, "issuer": "Example CA" },
        "post_quantum": "negotiated",
        "idle_ms": [21.0, 20.0, 19.0, 400.0, 20.5, 22.0, 18.0],
        "answers": healthy_answers(),
    })
}

fn healthy_answers() -> Value {
    let base = "https://matrix.example.org";
    let mut compressed = answer("/_matrix/client/versions", 200, &json!({ "versions": ["v1.19"] }));
    compressed["headers"]["content-encoding"] = json!("br");
    let client = json!({ "m.homeserver": { "base_url": base } });
    let server = json!({ "m.server": "matrix.example.org:443" });
    let metadata = json!({
        "issuer": format!("{base}/"),
        "authorization_endpoint": format!("{base}/oauth2/authorize"), "token_endpoint": format!("{base}/oauth2/token"),
    });
    let keys =
        json!({ "server_name": "example.org", "valid_until_ts": NOW_MS + 1, "verify_keys": { "ed25519:a": {} } });
    let mut preflight = answer("/_matrix/client/v3/account/whoami", 204, &json!({}));
    preflight["headers"]["access-control-allow-methods"] = json!("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
    preflight["headers"]["access-control-allow-headers"] = json!("X-Requested-With, Content-Type, Authorization");
    json!({
        "plain": answer("/_matrix/client/versions", 301, &json!({})),
        "versions": answer("/_matrix/client/versions", 200, &json!({ "versions": ["v1.18", "v1.19"] })),
        "compressed": compressed,
        "well_known_client": answer("/.well-known/matrix/client", 200, &client),
        "well_known_server": answer("/.well-known/matrix/server", 200, &server),
        "name_client": answer("/.well-known/matrix/client", 200, &client),
        "name_server": answer("/.well-known/matrix/server", 200, &server),
        "auth_metadata": answer("/_matrix/client/v1/auth_metadata", 200, &metadata),
        "login": answer("/_matrix/client/v3/login", 200, &json!({ "flows": [{ "type": "m.login.password" }] })),
        "register": refused(403, "M_FORBIDDEN"),
        "preflight": preflight,
        "unknown": refused(404, "M_UNRECOGNIZED"),
        "token": refused(401, "M_UNKNOWN_TOKEN"),
        "put": refused(401, "M_MISSING_TOKEN"),
        "delete": refused(401, "M_MISSING_TOKEN"),
        "encoded": refused(401, "M_MISSING_TOKEN"),
        "keys": answer("/_matrix/key/v2/server", 200, &keys),
        "admin": refused(401, "M_MISSING_TOKEN"),
    })
}

fn verdicts_of(facts: Value) -> Verdicts {
    examine(&serde_json::from_value(facts).expect("facts"))
}

/// Names of the checks that complain.
fn complaints(verdicts: &Verdicts) -> Vec<(&'static str, Outcome)> {
    let complains = |outcome| matches!(outcome, Outcome::Broken | Outcome::Warning);
    verdicts.iter().map(|(name, verdict)| (*name, verdict.outcome)).filter(|(_, outcome)| complains(*outcome)).collect()
}

/// Where, what instead, and which check says so.
type Fault = (&'static str, Value, &'static str, Outcome);

fn page() -> Value {
    let mut page = answer("/_matrix/client/versions", 403, &json!({}));
    page["body"] = json!("<!DOCTYPE html>Just a moment…");
    page
}

fn connection_faults() -> Vec<Fault> {
    use Outcome::{Broken, Warning};
    vec![
        ("/dns", json!({ "addresses": [], "error": "ENOTFOUND" }), "dns", Broken),
        ("/tls", json!({ "error": "ECONNRESET" }), "encrypted", Broken),
        ("/tls/protocol", json!("TLSv1.2"), "encrypted", Warning),
        ("/tls/distrust", json!("CERT_HAS_EXPIRED"), "certificate", Broken),
        ("/tls/expires_ms", json!(NOW_MS + 3 * 86_400_000), "certificate", Warning),
        ("/post_quantum", json!("refused"), "post-quantum", Broken),
        ("/answers/plain/status", json!(200), "plain-http", Warning),
        ("/tls/alpn", json!("http/1.1"), "http2", Warning),
        ("/answers/versions/headers/alt-svc", json!("clear"), "http3", Warning),
        ("/answers/versions/headers/date", json!("Mon, 21 Sep 2026 14:33:20 GMT"), "clock", Broken),
        ("/answers/versions/headers/date", json!("Mon, 21 Sep 2026 14:13:50 GMT"), "clock", Warning),
        ("/idle_ms", json!([900.0, 1.0, 950.0]), "latency", Warning),
        ("/idle_ms", json!([4000.0, 5000.0, 1.0]), "latency", Broken),
    ]
}

fn discovery_faults() -> Vec<Fault> {
    use Outcome::{Broken, Warning};
    let elsewhere = json!("{\"m.homeserver\":{\"base_url\":\"https://old.example.org\"}}");
    vec![
        ("/answers/versions", json!({ "error": "ECONNREFUSED" }), "reachable", Broken),
        ("/answers/versions/status", json!(302), "reachable", Broken),
        ("/answers/versions/status", json!(530), "reachable", Broken),
        ("/answers/versions/body", json!("{\"hello\":1}"), "versions", Broken),
        ("/answers/well_known_client/body", elsewhere.clone(), "well-known-client", Broken),
        ("/answers/well_known_client", refused(404, "M_NOT_FOUND"), "well-known-client", Broken),
        (
            "/answers/well_known_server/body",
            json!("{\"m.server\":\"old.example.org:443\"}"),
            "well-known-server",
            Broken,
        ),
        ("/answers/name_client", json!({ "error": "ENOTFOUND" }), "server-name", Broken),
        ("/answers/name_client/body", elsewhere, "server-name", Broken),
        ("/answers/name_client/headers/access-control-allow-origin", Value::Null, "server-name", Broken),
        ("/answers/name_server", refused(404, ""), "server-name", Warning),
        ("/answers/auth_metadata", refused(404, "M_UNRECOGNIZED"), "sign-in", Broken),
        ("/answers/auth_metadata/body", json!("{\"issuer\":\"https://old.example.org/\"}"), "sign-in", Broken),
        ("/answers/login", refused(404, "M_UNRECOGNIZED"), "login", Broken),
        ("/answers/register", open_registration(), "registration", Warning),
        ("/answers/keys/body", json!("{\"verify_keys\":{}}"), "federation", Broken),
        ("/answers/keys/at_ms", json!(NOW_MS + 2), "federation", Broken),
    ]
}

fn open_registration() -> Value {
    answer("/_matrix/client/v3/register", 401, &json!({ "flows": [{ "stages": ["m.login.dummy"] }] }))
}

fn faults_in_front() -> Vec<Fault> {
    use Outcome::{Broken, Warning};
    vec![
        ("/answers/login/headers/access-control-allow-origin", json!("*, *"), "cors", Broken),
        ("/answers/unknown/headers/access-control-allow-origin", json!("https://app.example.org"), "cors", Broken),
        ("/answers/preflight/status", json!(405), "preflight", Broken),
        ("/answers/preflight/headers/access-control-allow-headers", json!("Content-Type"), "preflight", Broken),
        ("/answers/compressed/headers/content-encoding", json!("identity"), "compression", Warning),
        ("/answers/admin", page(), "challenge", Broken),
        ("/answers/unknown", refused(404, "M_NOT_FOUND"), "errors", Broken),
        ("/answers/token", refused(401, "M_MISSING_TOKEN"), "token", Broken),
        ("/answers/put", refused(405, "M_UNRECOGNIZED"), "methods", Broken),
        ("/answers/delete", refused(403, ""), "methods", Broken),
        ("/answers/encoded", refused(404, "M_UNRECOGNIZED"), "encoded-path", Broken),
        ("/answers/token/headers/age", json!("17"), "cache", Broken),
        ("/answers/versions/headers/via", json!("1.1 varnish"), "in-front", Warning),
        ("/answers/admin/status", json!(200), "administration", Broken),
    ]
}

/// Puts a value at a place of the facts, also where there was none.
fn plant(mut facts: Value, place: &str, value: Value) -> Value {
    let (parent, name) = place.rsplit_once('/').expect("a place");
    let parent = facts.pointer_mut(parent).and_then(Value::as_object_mut).expect("a place of the facts");
    if value.is_null() {
        parent.remove(name);
    } else {
        parent.insert(name.to_owned(), value);
    }
    facts
}

#[test]
fn a_healthy_deployment_has_nothing_to_complain_about() {
    let verdicts = verdicts_of(healthy());
    assert!(verdicts.iter().all(|(_, verdict)| verdict.outcome == Outcome::Fine), "{}", as_text(&verdicts));
    assert!(as_text(&verdicts).ends_with("0 broken, 0 warnings\n"));
}

#[test]
fn each_planted_fault_is_found_by_name_and_says_what_to_do() {
    let faults = [connection_faults(), discovery_faults(), faults_in_front()].concat();
    assert!(faults.len() >= 40);
    for (place, value, check, outcome) in faults {
        let what = format!("{place} = {value}");
        let verdicts = verdicts_of(plant(healthy(), place, value));
        let found = complaints(&verdicts);
        assert!(found.contains(&(check, outcome)), "{what}: {found:?}");
        let (_, verdict) = verdicts.iter().find(|(name, _)| *name == check).expect("the check");
        assert!(verdict.advice.is_some(), "{what}: {check} does not say what to do");
    }
}

#[test]
fn what_cannot_be_seen_is_not_called_fine_or_broken() {
    let verdicts = verdicts_of(plant(healthy(), "/post_quantum", json!("unsupported")));
    assert_eq!(complaints(&verdicts), []);
    assert!(verdicts.iter().any(|(name, verdict)| *name == "post-quantum" && verdict.outcome == Outcome::CannotTell));

    let silent =
        json!({ "base": "https://x.example", "host": "x.example", "dns": { "addresses": [], "error": "ENOTFOUND" } });
    assert_eq!(complaints(&verdicts_of(silent)), [("dns", Outcome::Broken)]);
}

#[test]
fn a_build_without_federation_is_no_fault() {
    let verdicts = verdicts_of(plant(healthy(), "/answers/keys", refused(404, "M_UNRECOGNIZED")));
    assert_eq!(complaints(&verdicts), []);
}

#[test]
fn machines_get_names_and_the_sum() {
    let told = machine_readable(&verdicts_of(plant(healthy(), "/post_quantum", json!("refused"))));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["ok"], json!(false));
    assert_eq!(told["broken"], json!(1));
    let checks = told["checks"].as_array().expect("a list");
    assert!(checks.iter().any(|check| check["check"] == "post-quantum" && check["outcome"] == "broken"));
}
