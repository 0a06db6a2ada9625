//! Uploading and querying keys (Client-Server API, "Key management").

use std::collections::BTreeMap;

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId};
use serde::Serialize;
use tern_keys::{Signed, Usage, device};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ObjectHost, Sql, WaitingPolls,
    wire::keys::{KeyCount, OwnKeys, QueryKeys, QueryOwnKeys, RemoteUser, UploadKeys, UserKeys},
};

use crate::{
    UserActor, profile,
    store::{
        keys::{self, FallbackRow},
        shared_users,
    },
    transaction::Transaction,
};

/// Longest identity keys of all devices together, in bytes: twice what five hundred honest ones have.
const MOST_BYTES: u64 = 1 << 20;
/// Most algorithms for which a device may upload keys.
const MOST_ALGORITHMS: usize = 8;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(crate) fn upload_keys(&self, command: &UploadKeys) -> Result<KeyCount, MatrixError> {
        let device_id = &*command.session.device_id;
        if device_id.as_str().is_empty() {
            // An application service has to name one.
            return Err(MatrixError::missing_param("device_id is missing"));
        }
        self.change(|tx| {
            if let Some(keys) = &command.device_keys {
                self.take_identity(tx, device_id, keys)?;
            }
            take_one_time_keys(tx, device_id, &command.one_time_keys)?;
            take_fallback_keys(tx, device_id, &command.fallback_keys)?;
            let mut counts = keys::counts(tx.sql, device_id)?;
            // Clients that are told nothing of it keep the count they knew.
            counts.entry(tern_sync::ONE_TIME_ALGORITHM.to_owned()).or_insert(0);
            Ok(counts)
        })
    }

    /// Takes over a device's identity keys. The same again changes nothing, and keeps the signatures made since. Other
    /// keys are another device behind the same id: nobody could use what the old one had handed in.
    pub(crate) fn take_identity(
        &self,
        tx: &Transaction<'_, H::Sql>,
        device_id: &DeviceId,
        json: &RawJson,
    ) -> Result<(), MatrixError> {
        let new = device::identity(json, &self.user_id, device_id)?;
        if let Some(old) = keys::device(tx.sql, device_id)? {
            if old.same_content(&new) {
                return Ok(());
            }
            if old.object("keys") != new.object("keys") {
                remove_keys(tx, self.user_id.as_str(), device_id)?;
            }
        }
        keys::set_device(tx.sql, device_id, &new)?;
        if keys::bytes_of_devices(tx.sql)? > MOST_BYTES {
            return Err(MatrixError::too_large("The keys of all devices together are too long"));
        }
        self.devices_changed(tx)
    }

    pub(crate) fn query_keys(&self, command: &QueryKeys) -> Result<UserKeys, MatrixError> {
        if !self.hub.get().opened {
            return Err(profile::unknown_user());
        }
        self.first_copy_due()?;
        self.public_keys(&command.devices)
    }

    /// What everybody may see: of these devices, or of all when there are none.
    pub(super) fn public_keys(&self, devices: &[OwnedDeviceId]) -> Result<UserKeys, MatrixError> {
        let sql = self.host.sql();
        let devices = keys::devices(sql, devices)?;
        Ok(UserKeys {
            devices: devices.into_iter().map(|(id, keys, name)| (id, with_name(keys, name))).collect(),
            master: keys::cross_signing(sql, Usage::Master)?,
            self_signing: keys::cross_signing(sql, Usage::SelfSigning)?,
            user_signing: None,
        })
    }

    /// Those of `users` who are users of other servers and share a room: their servers tell of changes.
    fn shared_remote(&self, mut users: Vec<OwnedUserId>) -> Result<Vec<RemoteUser>, MatrixError> {
        users.retain(|user_id| user_id.server_name() != self.config.server_name);
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let users = serde_json::to_string(&users).map_err(|_| MatrixError::internal())?;
        Ok(shared_users::noted_at(self.host.sql(), &users)?)
    }

    pub(crate) fn query_own_keys(&self, command: QueryOwnKeys) -> Result<OwnKeys, MatrixError> {
        let sql = self.host.sql();
        let keys = match command.devices {
            Some(devices) => Some(UserKeys {
                user_signing: keys::cross_signing(sql, Usage::UserSigning)?,
                ..self.public_keys(&devices)?
            }),
            None => None,
        };
        let others = serde_json::to_string(&command.others).map_err(|_| MatrixError::internal())?;
        let signatures = if command.others.is_empty() { Vec::new() } else { keys::signatures(sql, &others)? };
        Ok(OwnKeys { keys, signatures, shared: self.shared_remote(command.others)? })
    }
}

pub(crate) fn take_one_time_keys(
    tx: &Transaction<'_, impl Sql>,
    device_id: &DeviceId,
    uploaded: &BTreeMap<String, RawJson>,
) -> Result<(), MatrixError> {
    let owner = keys::device(tx.sql, device_id)?;
    for (algorithm, new) in by_algorithm(uploaded)? {
        let mut held = keys::one_time(tx.sql, device_id, algorithm)?;
        let mut added = false;
        for (id, key) in new {
            device::check_key(key, owner.as_ref())?;
            added |= held.add(id, key)?;
        }
        if added {
            keys::set_one_time(tx.sql, device_id, algorithm, &held)?;
            tx.advance_key_counts(device_id, 0);
        }
    }
    Ok(())
}

/// One key per algorithm is kept. The same again does not count as unused anew.
pub(crate) fn take_fallback_keys(
    tx: &Transaction<'_, impl Sql>,
    device_id: &DeviceId,
    uploaded: &BTreeMap<String, RawJson>,
) -> Result<(), MatrixError> {
    let owner = keys::device(tx.sql, device_id)?;
    for (algorithm, new) in by_algorithm(uploaded)? {
        let &[(id, key)] = new.as_slice() else {
            return Err(MatrixError::invalid_param("There can be one fallback key of an algorithm"));
        };
        device::check_key(key, owner.as_ref())?;
        let held = keys::fallback(tx.sql, device_id, algorithm)?;
        if held.is_some_and(|held| held.key_id == id && device::same_key(&held.key, key)) {
            continue;
        }
        let row = FallbackRow { key_id: id.to_owned(), key: key.clone(), used: false };
        keys::set_fallback(tx.sql, device_id, algorithm, &row)?;
        tx.advance_key_counts(device_id, 0);
    }
    Ok(())
}

/// Removes a device's keys and what it signed; false when others had no reason to know it.
pub(crate) fn remove_keys(
    tx: &Transaction<'_, impl Sql>,
    user_id: &str,
    device_id: &DeviceId,
) -> Result<bool, MatrixError> {
    let known = keys::delete_device(tx.sql, device_id)?;
    let master = keys::cross_signing(tx.sql, Usage::Master)?;
    if let Some(mut master) = master.and_then(|master| Signed::parse(&master).ok())
        && master.remove(user_id, &device::signing_key_id(device_id.as_str()))
    {
        keys::set_cross_signing(tx.sql, Usage::Master, Some(&master))?;
    }
    Ok(known)
}

type Keys<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a RawJson)>>;

fn by_algorithm(uploaded: &BTreeMap<String, RawJson>) -> Result<Keys<'_>, MatrixError> {
    let mut keys = Keys::new();
    for (name, key) in uploaded {
        let (algorithm, id) = device::split_id(name)?;
        keys.entry(algorithm).or_default().push((id, key));
    }
    if keys.len() > MOST_ALGORITHMS {
        return Err(MatrixError::invalid_param("Too many algorithms"));
    }
    Ok(keys)
}

#[derive(Serialize)]
struct Unsigned<'a> {
    device_display_name: &'a str,
}

/// Adds the device's name, without reading the keys: they are an object, and have no `unsigned`.
fn with_name(keys: RawJson, name: Option<String>) -> RawJson {
    let unsigned = name.and_then(|name| serde_json::to_string(&Unsigned { device_display_name: &name }).ok());
    let open = keys.text().strip_suffix('}').filter(|open| open.len() > 1);
    let (Some(unsigned), Some(open)) = (unsigned, open) else { return keys };
    RawJson::parse(format!("{open},\"unsigned\":{unsigned}}}")).unwrap_or(keys)
}
