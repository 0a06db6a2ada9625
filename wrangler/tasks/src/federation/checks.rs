//! What is judged, each check a function from what was seen to a verdict.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::doctor::Verdicts;
use crate::doctor::facts::{Answer, Dns, Handshake};
use crate::doctor::verdict::{Verdict, unanswered};

const DAY_MS: f64 = 86_400_000.0;

/// What was seen of another server, as `federation.mjs` writes it down.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Facts {
    name: String,
    /// This computer's clock, in milliseconds since 1970.
    at_ms: f64,
    /// Where it is; absent for what is no name.
    way: Option<Way>,
    /// Asked where neither a port nor an address is in the name.
    well_known: Option<Answer>,
    delegated: Option<String>,
    service: Option<Service>,
    dns: Option<Dns>,
    tls: Option<Handshake>,
    version: Option<Answer>,
    keys: Option<Answer>,
    /// Which of its keys have signed what it says of them.
    #[serde(default)]
    signed: BTreeMap<String, bool>,
}

#[derive(Clone, Debug, Deserialize)]
struct Way {
    /// Whose certificate it is.
    host: String,
    port: u16,
}

#[derive(Clone, Debug, Deserialize)]
struct Service {
    name: String,
    targets: Vec<Target>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    host: String,
}

type Check = fn(&Facts) -> Verdict;

/// In the order in which they are told: what others depend on comes first.
const CHECKS: [(&str, Check); 8] = [
    ("name", name),
    ("well-known", well_known),
    ("service", service),
    ("address", address),
    ("certificate", certificate),
    ("version", version),
    ("keys", keys),
    ("signatures", signatures),
];

pub(super) fn examine(facts: &Facts) -> Verdicts {
    CHECKS.iter().map(|(name, check)| (*name, check(facts))).collect()
}

fn name(facts: &Facts) -> Verdict {
    match &facts.way {
        Some(way) => Verdict::fine(format!("{} is at {} port {}", facts.name, way.host, way.port)),
        None => Verdict::broken(
            format!("{} is no name of a server", facts.name),
            "Give the part of its users' ids after the colon, for example matrix.org",
        ),
    }
}

fn well_known(facts: &Facts) -> Verdict {
    let Some(answer) = &facts.well_known else { return Verdict::not_applicable("the name says where the server is") };
    match (&answer.error, &facts.delegated) {
        (_, Some(server)) => Verdict::fine(format!("{} says {server}", answer.url)),
        (Some(error), None) => Verdict::not_applicable(format!("{} cannot be read ({error})", answer.url)),
        (None, None) if answer.status == 404 => Verdict::not_applicable("there is none"),
        (None, None) if answer.status == 200 => Verdict::broken(
            format!("{} has no usable m.server", answer.url),
            "Its operator has to serve {\"m.server\": \"host:port\"} there, or 404",
        ),
        (None, None) => Verdict::warning(
            format!("{} answers {}", answer.url, answer.summary()),
            "Its operator should serve the file, or 404",
        ),
    }
}

fn service(facts: &Facts) -> Verdict {
    let Some(service) = &facts.service else { return Verdict::not_applicable("no SRV record counts") };
    let host = facts.way.as_ref().map_or("", |way| way.host.as_str());
    match service.targets.iter().find(|target| !target.host.eq_ignore_ascii_case(host)) {
        None => Verdict::fine(format!("{} leads to {host} itself", service.name)),
        Some(target) => Verdict::broken(
            format!(
                "{} leads to {}, which this server cannot ask with the certificate of {host}",
                service.name, target.host
            ),
            "Its operator should serve /.well-known/matrix/server instead of the record",
        ),
    }
}

fn address(facts: &Facts) -> Verdict {
    match &facts.dns {
        None => unanswered(),
        Some(Dns { error: Some(error), .. }) => {
            Verdict::broken(format!("its host has no address ({error})"), "Look at the name and at its records in DNS")
        }
        Some(Dns { addresses, .. }) => Verdict::fine(addresses.join(", ")),
    }
}

fn certificate(facts: &Facts) -> Verdict {
    let Some(tls) = &facts.tls else {
        let local = facts.dns.as_ref().is_some_and(|dns| dns.error.is_none());
        return if local { Verdict::not_applicable("a server of this machine, without TLS") } else { unanswered() };
    };
    let way = facts.way.as_ref();
    let port = way.map_or(0, |way| way.port);
    if let Some(error) = &tls.error {
        let advice = "Its operator has to open the port, with TLS on it";
        return Verdict::broken(format!("nobody speaks TLS on port {port} ({error})"), advice);
    }
    if let Some(distrust) = &tls.distrust {
        let host = way.map_or("", |way| way.host.as_str());
        let advice = format!("Its operator needs a certificate of a public authority for {host}");
        return Verdict::broken(format!("the certificate is not trusted ({distrust})"), advice);
    }
    let days = tls.expires_ms.map_or(0.0, |expires| (expires - facts.at_ms) / DAY_MS);
    let found = format!(
        "{} by {}, {days:.0} days left",
        tls.protocol.as_deref().unwrap_or("TLS"),
        tls.issuer.as_deref().unwrap_or("?")
    );
    if days < 14.0 { Verdict::warning(found, "Its operator has to renew it") } else { Verdict::fine(found) }
}

fn version(facts: &Facts) -> Verdict {
    let Some(answer) = facts.version.as_ref().filter(|answer| answer.error.is_none()) else { return unanswered() };
    match (answer.text("/server/name"), answer.text("/server/version")) {
        (Some(name), version) => Verdict::fine(format!("{name} {}", version.unwrap_or_default())),
        (None, _) => Verdict::warning(
            format!("/_matrix/federation/v1/version answers {}", answer.summary()),
            "What answers there may be no homeserver",
        ),
    }
}

fn keys(facts: &Facts) -> Verdict {
    let Some(answer) = &facts.keys else { return unanswered() };
    if let Some(error) = &answer.error {
        return Verdict::broken(format!("its keys cannot be asked for ({error})"), "It cannot be believed without");
    }
    let advice = "Its operator has to let /_matrix/key/v2/server through to the homeserver";
    let Some(keys) = answer.json().filter(|keys| keys.get("verify_keys").is_some()) else {
        return Verdict::broken(format!("/_matrix/key/v2/server answers {}", answer.summary()), advice);
    };
    let said = keys.get("server_name").and_then(serde_json::Value::as_str).unwrap_or_default();
    if !said.eq_ignore_ascii_case(&facts.name) {
        return Verdict::broken(format!("they are those of {said:?}"), "What answers there is another server");
    }
    let hours = keys.get("valid_until_ts").and_then(serde_json::Value::as_f64).unwrap_or_default();
    let hours = (hours - facts.at_ms) / DAY_MS * 24.0;
    if hours <= 0.0 {
        return Verdict::broken("they are not valid any more", "Look at the clocks of both servers");
    }
    Verdict::fine(format!("valid for {hours:.0} hours"))
}

fn signatures(facts: &Facts) -> Verdict {
    if facts.signed.is_empty() {
        return unanswered();
    }
    let wrong: Vec<_> = facts.signed.iter().filter(|(_, good)| !**good).map(|(key, _)| key.as_str()).collect();
    if wrong.is_empty() {
        return Verdict::fine(facts.signed.keys().cloned().collect::<Vec<_>>().join(", "));
    }
    let found = format!("{} did not sign what is said of it", wrong.join(", "));
    Verdict::broken(found, "Nothing that it signs is believed; what answers may be somebody else")
}
