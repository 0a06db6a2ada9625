//! What other servers ask of users and aliases here.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde_json::{Map, Value, json};
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Outbound, Transport,
    wire::{keys::ClaimedKeys, remote_keys::stream_id, user::Profile},
};

use crate::{
    aliases, join,
    keys::{self, MOST_USERS, Wanted, public_keys_of},
    profile,
};

/// Longest answer about one user that is given, so that who has many devices can be asked for, in devices.
const MOST_DEVICES: usize = 1_000;

/// `GET /query/profile`: the profile, or one field of it.
///
/// # Errors
/// 404 `M_NOT_FOUND` for somebody who is not there, and for a field that is not; 400 `M_INVALID_PARAM` for a user of another
/// server.
pub async fn profile<E: Transport>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
    field: Option<&str>,
) -> Result<Profile, MatrixError> {
    if user_id.server_name() != config.server_name {
        return Err(MatrixError::invalid_param("The user is one of another server"));
    }
    let mut profile = profile::read(edge, config, user_id).await?;
    let Some(field) = field else { return Ok(profile) };
    profile.retain(|name, _| name == field);
    // Whoever has no name is still there.
    let is_usual = matches!(field, "displayname" | "avatar_url");
    if profile.is_empty() && !is_usual { Err(MatrixError::not_found("There is no such field")) } else { Ok(profile) }
}

/// `GET /query/directory`: the room behind an alias, and a server through which it can be joined.
///
/// # Errors
/// 404 `M_NOT_FOUND`; 400 `M_INVALID_PARAM` for an alias of another server.
pub async fn alias<E: Transport + Outbound>(edge: &E, config: &Config, alias: &str) -> Result<Value, MatrixError> {
    let alias = aliases::local_alias(config, alias)?;
    let room_id = join::resolve(edge, config, alias.as_str()).await?;
    Ok(json!({ "room_id": room_id, "servers": [config.server_name] }))
}

/// `POST /user/keys/claim`. Users of other servers, and those who are not there, are left out.
///
/// # Errors
/// `M_TOO_LARGE`. A user whose hub cannot be reached is left out: what others' devices were given must not get lost.
pub async fn claim<E: Transport>(
    edge: &E,
    config: &Config,
    wanted: Wanted<BTreeMap<OwnedDeviceId, String>>,
) -> Result<BTreeMap<OwnedUserId, ClaimedKeys>, MatrixError> {
    let claimed = keys::claim(edge, config, local(config, wanted)?).await?;
    Ok(claimed.one_time_keys)
}

/// `GET /user/devices/{userId}`: the devices of a user as others keep a copy of them. Somebody who is not there has none.
///
/// # Errors
/// 404 `M_NOT_FOUND` for a user of another server; 503.
pub async fn devices<E: Transport>(edge: &E, config: &Config, user_id: &UserId) -> Result<Value, MatrixError> {
    if user_id.server_name() != config.server_name {
        return Err(MatrixError::not_found("The user is one of another server"));
    }
    let (keys, version) = public_keys_of(edge, user_id).await?;
    let of_devices: BTreeMap<OwnedDeviceId, RawJson> = keys.devices.read().map_err(|_| MatrixError::internal())?;
    let devices: Vec<_> = of_devices.iter().take(MOST_DEVICES).map(|(id, keys)| device(id, keys)).collect();
    let mut answer = json!({ "user_id": user_id, "stream_id": stream_id(version), "devices": devices });
    let cross_signing = [("master_key", keys.master), ("self_signing_key", keys.self_signing)];
    if let Some(answer) = answer.as_object_mut() {
        for (name, key) in cross_signing {
            let key: Option<Value> = key.and_then(|key| key.read().ok());
            answer.extend(key.map(|key| (name.to_owned(), key)));
        }
    }
    Ok(answer)
}

fn device(id: &OwnedDeviceId, keys: &RawJson) -> Map<String, Value> {
    let mut keys: Map<String, Value> = keys.read().unwrap_or_default();
    let unsigned = keys.remove("unsigned");
    let name = unsigned.as_ref().and_then(|unsigned| unsigned.get("device_display_name")).cloned();
    let mut device = Map::new();
    device.insert("device_id".to_owned(), id.as_str().into());
    device.insert("keys".to_owned(), keys.into());
    device.extend(name.map(|name| ("device_display_name".to_owned(), name)));
    device
}

/// Users here, with what is wanted of each.
///
/// # Errors
/// `M_TOO_LARGE`.
pub fn local<T>(config: &Config, mut wanted: Wanted<T>) -> Result<Wanted<T>, MatrixError> {
    if wanted.len() > MOST_USERS {
        return Err(MatrixError::too_large("Too many users"));
    }
    wanted.retain(|user_id: &OwnedUserId, _| user_id.server_name() == config.server_name);
    Ok(wanted)
}
