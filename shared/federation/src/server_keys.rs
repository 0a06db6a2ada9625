//! What a server says of its keys (Server-Server API, "Publishing Keys").

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tern_model::{Millis, OldSigningKey};

use crate::{
    canonical::object_without,
    server_name::ServerName,
    signature::{PrivateKey, PublicKey},
};

/// Longest answer that is read, in bytes.
pub const LONGEST: usize = 64 << 10;
/// Most keys of one answer, old ones included.
pub const MOST_KEYS: usize = 64;
/// Longest id of a key, in bytes.
pub const LONGEST_KEY_ID: usize = 128;
/// Longer than this no answer is relied on, in milliseconds: seven days.
pub const LONGEST_VALIDITY: u64 = 7 * 24 * 3_600 * 1_000;
/// For how long this server says that its keys are good, in milliseconds: a day.
pub const OWN_VALIDITY: u64 = 24 * 3_600 * 1_000;

/// The members of an answer that its signatures are not over.
const NOT_SIGNED: [&str; 2] = ["signatures", "unsigned"];

/// Why an answer says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It is longer than [`LONGEST`], or says more than [`MOST_KEYS`] keys.
    #[error("there are too many keys")]
    TooLong,
    /// It is not of the shape that the specification gives it.
    #[error("the answer is malformed")]
    Malformed,
    /// It is of another server.
    #[error("the keys are those of another server")]
    OtherServer,
    /// None of its keys has signed it.
    #[error("the keys have not signed what is said of them")]
    NotSigned,
}

/// A key of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    /// `ed25519:…`
    pub key_id: String,
    /// The key.
    pub key: PublicKey,
    /// Until when it is good. Of an old key: when it was last used, and it is good for events up to then alone.
    pub valid_until: Millis,
    /// It is an old one.
    pub expired: bool,
}

impl ServerKey {
    /// Whether a request that is signed by it now is its server's.
    pub fn signs_requests_at(&self, now: Millis) -> bool {
        !self.expired && now <= self.valid_until
    }

    /// Whether an event of this time that is signed by it is its server's. Rooms before version 5 do not ask for validity,
    /// except that an old key signs nothing new.
    pub fn signs_events_of(&self, origin_server_ts: Millis, asks_validity: bool) -> bool {
        (!self.expired && !asks_validity) || origin_server_ts <= self.valid_until
    }
}

/// An answer that was checked: every key in it that is not an old one has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyResponse {
    /// Its keys.
    pub keys: Vec<ServerKey>,
    /// The answer in canonical form with its signatures, to be passed on.
    pub text: String,
}

#[derive(Deserialize)]
struct Written<'a> {
    server_name: String,
    valid_until_ts: u64,
    #[serde(borrow)]
    verify_keys: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    old_verify_keys: BTreeMap<String, &'a RawValue>,
    #[serde(default)]
    signatures: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Current {
    key: String,
}

#[derive(Deserialize)]
struct Old {
    key: String,
    expired_ts: u64,
}

/// Reads what `server` says of its keys, at `now`. Keys that cannot be used, among them those that have not signed the
/// answer, are left out.
///
/// # Errors
/// [`KeysError`].
pub fn read(text: &[u8], server: &ServerName, now: Millis) -> Result<KeyResponse, KeysError> {
    if text.len() > LONGEST {
        return Err(KeysError::TooLong);
    }
    let written: Written<'_> = serde_json::from_slice(text).map_err(|_| KeysError::Malformed)?;
    if ServerName::parse(&written.server_name).as_ref() != Some(server) {
        return Err(KeysError::OtherServer);
    }
    if written.verify_keys.len() + written.old_verify_keys.len() > MOST_KEYS {
        return Err(KeysError::TooLong);
    }
    let signed = object_without(text, &NOT_SIGNED).map_err(|_| KeysError::Malformed)?;
    let signatures = written.signatures.get(&written.server_name).ok_or(KeysError::NotSigned)?;
    let valid_until = Millis(written.valid_until_ts.min(now.0.saturating_add(LONGEST_VALIDITY)));
    let mut keys: Vec<ServerKey> = Vec::new();
    for (key_id, key) in &written.verify_keys {
        let key = serde_json::from_str(key.get()).ok().and_then(|Current { key }| PublicKey::parse(&key));
        let has_signed = |key: &PublicKey| {
            signatures.get(key_id).is_some_and(|signature| key.verifies(signed.as_bytes(), signature))
        };
        if let Some(key) = key.filter(|key| is_key_id(key_id) && has_signed(key)) {
            keys.push(ServerKey { key_id: key_id.clone(), key, valid_until, expired: false });
        }
    }
    if keys.is_empty() {
        return Err(KeysError::NotSigned);
    }
    keys.extend(written.old_verify_keys.iter().filter_map(|(key_id, key)| {
        let Old { key, expired_ts } = serde_json::from_str(key.get()).ok()?;
        let is_new = is_key_id(key_id) && !written.verify_keys.contains_key(key_id);
        let key = PublicKey::parse(&key).filter(|_| is_new)?;
        Some(ServerKey { key_id: key_id.clone(), key, valid_until: Millis(expired_ts), expired: true })
    }));
    let text = object_without(text, &["unsigned"]).map_err(|_| KeysError::Malformed)?;
    Ok(KeyResponse { keys, text })
}

/// `ed25519:` and an id. Whoever made it is not asked to keep to the grammar in full.
pub fn is_key_id(text: &str) -> bool {
    let id = text.strip_prefix("ed25519:").unwrap_or_default();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=');
    !id.is_empty() && text.len() <= LONGEST_KEY_ID && id.bytes().all(known)
}

/// What this server says of its keys, signed: `GET /_matrix/key/v2/server`.
///
/// # Errors
/// [`KeysError::Malformed`], which does not happen.
pub fn publish(
    server_name: &str,
    key: &PrivateKey,
    old: &BTreeMap<String, OldSigningKey>,
    valid_until: Millis,
) -> Result<String, KeysError> {
    let answer = serde_json::json!({
        "server_name": server_name,
        "valid_until_ts": valid_until.0,
        "verify_keys": { key.id.as_str(): { "key": key.public().text() } },
        "old_verify_keys": old,
    });
    countersign(&answer.to_string(), server_name, key)
}

/// Adds the signature of `server_name` to an object. One that it has made before is replaced.
///
/// # Errors
/// [`KeysError::Malformed`] for what is no object with signatures.
pub fn countersign(text: &str, server_name: &str, key: &PrivateKey) -> Result<String, KeysError> {
    let signed = object_without(text.as_bytes(), &NOT_SIGNED).map_err(|_| KeysError::Malformed)?;
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(|_| KeysError::Malformed)?;
    let mut signatures: BTreeMap<String, BTreeMap<String, String>> = match members.get("signatures") {
        Some(signatures) => serde_json::from_str(signatures.get()).map_err(|_| KeysError::Malformed)?,
        None => BTreeMap::new(),
    };
    let signature = key.sign(signed.as_bytes());
    signatures.entry(server_name.to_owned()).or_default().insert(key.id.clone(), signature);
    let signatures = serde_json::value::to_raw_value(&signatures).map_err(|_| KeysError::Malformed)?;
    members.insert("signatures".to_owned(), signatures);
    serde_json::to_string(&members).map_err(|_| KeysError::Malformed)
}
