//! Planted faults: facts of a healthy server with one thing changed, and the check that must name it.

use serde_json::{Value, json};

use super::checks::{Facts, examine};
use crate::doctor::verdict::Outcome;

const NOW_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn answer(path: &str, status: u16, body: &Value) -> Value {
    json!({ "url": format!("https://example.org{path}"), "status": status, "body": body.to_string() })
}

fn keys(name: &str, until: u64) -> Value {
    let body = json!({ "server_name": name, "valid_until_ts": until, "verify_keys": { "ed25519:a": { "key": "k" } } });
    answer("/_matrix/key/v2/server", 200, &body)
}

fn healthy() -> Value {
    json!({
        "name": "example.org", "at_ms": NOW_MS,
        "way": { "host": "hs.example.org", "port": 443 },
        "well_known": answer("/.well-known/matrix/server", 200, &json!({ "m.server": "hs.example.org:443" })),
        "delegated": "hs.example.org:443",
        "service": null,
        "dns": { "addresses": ["192.0.2.1"] },
        "tls": { "protocol": "TLSv1.3", "expires_ms": NOW_MS + 60 * DAY_MS, "issuer": "Example CA" },
        "version": answer("/_matrix/federation/v1/version", 200, &json!({ "server": { "name": "Synapse", "version": "1" } })),
        "keys": keys("example.org", NOW_MS + DAY_MS),
        "signed": { "ed25519:a": true },
    })
}

/// The checks that are not content, with their outcomes.
fn faults(changes: &Value) -> Vec<(&'static str, Outcome)> {
    let mut facts = healthy();
    if let (Some(facts), Some(changes)) = (facts.as_object_mut(), changes.as_object()) {
        facts.extend(changes.clone());
    }
    let facts: Facts = serde_json::from_value(facts).expect("facts");
    let verdicts = examine(&facts).into_iter().map(|(name, verdict)| (name, verdict.outcome));
    verdicts.filter(|(_, outcome)| matches!(outcome, Outcome::Broken | Outcome::Warning)).collect()
}

#[test]
fn nothing_is_said_against_a_healthy_server() {
    assert_eq!(faults(&json!({})), []);
    // Without a file, with a record that leads to itself; and on this machine, without TLS.
    let own = json!({ "name": "_matrix._tcp.example.org", "targets": [{ "host": "hs.example.org", "port": 443 }] });
    let missing = answer("/.well-known/matrix/server", 404, &json!({}));
    assert_eq!(faults(&json!({ "well_known": missing, "delegated": null, "service": own })), []);
    assert_eq!(faults(&json!({ "well_known": null, "delegated": null, "tls": null })), []);
}

#[test]
fn each_fault_is_named_by_the_check_that_it_is_about() {
    let elsewhere = json!({ "name": "_matrix._tcp.example.org", "targets": [{ "host": "other.net", "port": 8448 }] });
    let page = json!({ "url": "https://example.org/", "status": 200, "body": "<html>" });
    for (changes, expected) in [
        (json!({ "delegated": null }), vec![("well-known", Outcome::Broken)]),
        (
            json!({ "well_known": answer("/", 500, &json!({})), "delegated": null }),
            vec![("well-known", Outcome::Warning)],
        ),
        (json!({ "service": elsewhere }), vec![("service", Outcome::Broken)]),
        (json!({ "dns": { "addresses": [], "error": "ENOTFOUND" } }), vec![("address", Outcome::Broken)]),
        (json!({ "tls": { "error": "ECONNREFUSED" } }), vec![("certificate", Outcome::Broken)]),
        (
            json!({ "tls": { "distrust": "DEPTH_ZERO_SELF_SIGNED_CERT", "expires_ms": NOW_MS } }),
            vec![("certificate", Outcome::Broken)],
        ),
        (json!({ "tls": { "expires_ms": NOW_MS + DAY_MS } }), vec![("certificate", Outcome::Warning)]),
        (json!({ "version": page }), vec![("version", Outcome::Warning)]),
        (json!({ "keys": page }), vec![("keys", Outcome::Broken)]),
        (json!({ "keys": { "error": "ETIMEDOUT" } }), vec![("keys", Outcome::Broken)]),
        (json!({ "keys": keys("other.org", NOW_MS + DAY_MS) }), vec![("keys", Outcome::Broken)]),
        (json!({ "keys": keys("example.org", NOW_MS) }), vec![("keys", Outcome::Broken)]),
        (json!({ "signed": { "ed25519:a": false } }), vec![("signatures", Outcome::Broken)]),
        (
            json!({ "name": "no name", "way": null, "dns": null, "tls": null, "version": null, "keys": null, "signed": {} }),
            vec![("name", Outcome::Broken)],
        ),
    ] {
        assert_eq!(faults(&changes), expected, "{changes}");
    }
}
