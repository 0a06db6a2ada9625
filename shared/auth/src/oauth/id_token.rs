//! Id tokens (OpenID Connect Core, 2 and 3.1.3.6): who signed in, for one client to read. They open nothing here: access
//! tokens are of another algorithm, under another key.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tern_model::{Algorithm, Config, Millis};

use super::request::issuer;
use crate::secret::base64;

/// How long one is good, in milliseconds: a client looks at it once, right after it was issued.
pub const LIFETIME: u64 = 10 * 60 * 1000;

/// What an id token says.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Who signed in.
    pub user_id: &'a str,
    /// For whom it is.
    pub client_id: &'a str,
    /// When the user gave the password.
    pub auth_time: Option<Millis>,
    /// `nonce` of the request.
    pub nonce: Option<&'a str>,
    /// The access token that comes with it.
    pub access_token: &'a str,
}

/// What is signed: header and claims.
pub fn signing_input(config: &Config, algorithm: Algorithm, key_id: &str, subject: Subject<'_>, now: Millis) -> String {
    let header = json!({ "alg": algorithm.name(), "kid": key_id, "typ": "JWT" });
    let claims = claims(config, subject, now);
    [header, claims.into()].map(|part| base64(part.to_string().as_bytes())).join(".")
}

/// Header, claims and signature.
pub fn assemble(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", base64(signature))
}

fn claims(config: &Config, subject: Subject<'_>, now: Millis) -> Map<String, Value> {
    let always = [
        ("iss", Value::from(issuer(config))),
        ("sub", subject.user_id.into()),
        ("aud", subject.client_id.into()),
        ("iat", (now.0 / 1000).into()),
        ("exp", (now.plus(LIFETIME).0 / 1000).into()),
        ("at_hash", at_hash(subject.access_token).into()),
    ];
    let rest =
        [("auth_time", subject.auth_time.map(|at| (at.0 / 1000).into())), ("nonce", subject.nonce.map(Value::from))];
    let rest = rest.into_iter().filter_map(|(name, value)| Some((name, value?)));
    always.into_iter().chain(rest).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The left half of the hash that belongs to the algorithm, which is SHA-256 for all of ours.
fn at_hash(access_token: &str) -> String {
    base64(Sha256::digest(access_token).get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::at_hash;

    #[test]
    fn the_example_of_the_specification_holds() {
        // OpenID Connect Core, A.3.
        assert_eq!(at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
