//! What a device publishes: identity keys, and the keys that are given out to whoever wants to talk to it.

use ruma::{CanonicalJsonValue, DeviceId, UserId};
use tern_model::RawJson;

use crate::{KeyError, Signed};

/// Longest key, in bytes. Honest ones have some hundreds.
const LONGEST_KEY: usize = 16 * 1024;
/// Longest name of an algorithm or id of a key, in bytes.
const LONGEST_NAME: usize = 255;

/// The id of a device's own signing key.
pub fn signing_key_id(device_id: &str) -> String {
    format!("ed25519:{device_id}")
}

/// Reads the `device_keys` of `POST /keys/upload`, and checks the device's own signature if it is there. Clients do not
/// believe keys without it; the server does not need to know.
///
/// # Errors
/// [`KeyError::BadJson`], [`KeyError::NotYours`], [`KeyError::BadSignature`].
pub fn identity(json: &RawJson, user_id: &UserId, device_id: &DeviceId) -> Result<Signed, KeyError> {
    check_length(json)?;
    let mut keys = Signed::parse(json)?;
    let (Some(user), Some(device)) = (keys.text("user_id"), keys.text("device_id")) else {
        return Err(KeyError::BadJson("user_id and device_id are needed"));
    };
    if keys.texts("algorithms").is_none() || keys.object("signatures").is_none() {
        return Err(KeyError::BadJson("algorithms and signatures are needed"));
    }
    let published = keys.object("keys").ok_or(KeyError::BadJson("keys are needed"))?;
    if !published.values().all(|key| matches!(key, CanonicalJsonValue::String(_))) {
        return Err(KeyError::BadJson("keys must be texts"));
    }
    if user != user_id.as_str() || device != device_id.as_str() {
        return Err(KeyError::NotYours);
    }
    let own = signing_key_id(device);
    if keys.signature(user, &own).is_some() {
        keys.verify(user, &own, keys.key(&own).ok_or(KeyError::BadSignature)?)?;
    }
    keys.keep_signatures_of(user_id.as_str());
    Ok(keys)
}

/// Splits `algorithm:id`.
///
/// # Errors
/// [`KeyError::BadJson`].
pub fn split_id(name: &str) -> Result<(&str, &str), KeyError> {
    let parts = name.split_once(':').filter(|(algorithm, id)| !algorithm.is_empty() && !id.is_empty());
    parts
        .filter(|_| name.len() <= LONGEST_NAME)
        .ok_or(KeyError::BadJson("The id of a key must be an algorithm and an id with a colon in between"))
}

/// Checks a one-time or fallback key: a text, or an object with a `key`. A signature of the device itself must be right,
/// as far as its identity keys are known.
///
/// # Errors
/// [`KeyError::BadJson`], [`KeyError::BadSignature`].
pub fn check_key(json: &RawJson, device: Option<&Signed>) -> Result<(), KeyError> {
    check_length(json)?;
    if json.text().starts_with('"') {
        return Ok(());
    }
    let key = Signed::parse(json)?;
    key.text("key").ok_or(KeyError::BadJson("A key must be a text or an object with a key"))?;
    let Some(device) = device else { return Ok(()) };
    let (Some(user), Some(id)) = (device.text("user_id"), device.text("device_id")) else { return Ok(()) };
    let own = signing_key_id(id);
    match (key.signature(user, &own), device.key(&own)) {
        (Some(_), Some(public)) => key.verify(user, &own, public),
        _ => Ok(()),
    }
}

/// Two one-time or fallback keys are the same, in whatever order their fields came.
pub fn same_key(one: &RawJson, other: &RawJson) -> bool {
    one == other || matches!((Signed::parse(one), Signed::parse(other)), (Ok(one), Ok(other)) if one == other)
}

fn check_length(json: &RawJson) -> Result<(), KeyError> {
    if json.text().len() > LONGEST_KEY { Err(KeyError::TooMany) } else { Ok(()) }
}
