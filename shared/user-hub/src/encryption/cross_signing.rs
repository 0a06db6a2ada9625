//! Cross-signing keys and signatures (Client-Server API, "Cross-signing"; MSC3967).

use std::collections::BTreeMap;

use ruma::{DeviceId, OwnedUserId};
use tern_keys::{Change, CrossSigningKeys, KeyError, Signed, Usage, cross_signing, device};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ObjectHost, Sql, SqlError, WaitingPolls,
    wire::{
        keys::{CrossSigningUploaded, SignatureFailures, UploadCrossSigning, UploadSignatures},
        user::SessionRef,
    },
};

use super::device_lists;
use crate::{
    UserActor,
    sessions::bare_id,
    store::{devices, grants, keys, shared_users},
    transaction::Transaction,
};

/// Most keys in one upload of signatures.
const MOST_SIGNED: usize = 1_000;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(crate) fn upload_cross_signing(
        &self,
        command: &UploadCrossSigning,
    ) -> Result<CrossSigningUploaded, MatrixError> {
        let read = |json: &Option<RawJson>, usage| {
            json.as_ref().map(|json| CrossSigningKeys::read(json, &self.user_id, usage)).transpose()
        };
        let new = CrossSigningKeys {
            master: read(&command.master, Usage::Master)?,
            self_signing: read(&command.self_signing, Usage::SelfSigning)?,
            user_signing: read(&command.user_signing, Usage::UserSigning)?,
        };
        let stored = stored(self.host.sql())?;
        let signing_key = |device_id: &str| signing_key(self.host.sql(), device_id.into());
        let is_device = |id: &str| !matches!(devices::load(self.host.sql(), id.into()), Ok(None));
        match new.check(&stored, &self.user_id, signing_key, is_device)? {
            Change::None => return Ok(CrossSigningUploaded::Done),
            Change::First => self.change(|tx| self.replace(tx, &stored, &new))?,
            Change::Replace if self.came_by_oauth(&command.session)? => {
                if !self.may_reset(&command.session.device_id)? {
                    return Ok(CrossSigningUploaded::NeedsApproval);
                }
                self.change(|tx| {
                    grants::drop_approvals(tx.sql)?;
                    self.replace(tx, &stored, &new)
                })?;
            }
            Change::Replace if !command.proved => return Ok(CrossSigningUploaded::NeedsProof),
            Change::Replace => self.change(|tx| self.replace(tx, &stored, &new))?,
        }
        Ok(CrossSigningUploaded::Done)
    }

    fn came_by_oauth(&self, session: &SessionRef) -> Result<bool, SqlError> {
        Ok(grants::client_of(self.host.sql(), bare_id(&session.session_id).0)?.is_some())
    }

    /// A device must not be called like one of the user's cross-signing keys, or signatures could be mistaken (Client-Server
    /// API, "Key and signature security"), nor like the dehydrated device, which nobody is signed in with.
    pub(crate) fn refuse_taken_name(&self, device_id: &DeviceId) -> Result<(), MatrixError> {
        let sql = self.host.sql();
        if stored(sql)?.names().any(|name| name == device_id.as_str()) {
            return Err(KeyError::IdInUse.into());
        }
        if keys::dehydrated(sql)?.is_some_and(|dehydrated| dehydrated.device_id == *device_id) {
            return Err(MatrixError::forbidden("The dehydrated device has this id"));
        }
        Ok(())
    }

    /// A new master key takes the place of all: what the old one vouched for is worth nothing any more.
    fn replace(
        &self,
        tx: &Transaction<'_, H::Sql>,
        old: &CrossSigningKeys,
        new: &CrossSigningKeys,
    ) -> Result<(), MatrixError> {
        let afresh =
            new.master.as_ref().is_some_and(|new| !old.master.as_ref().is_some_and(|old| old.same_content(new)));
        for usage in Usage::ALL {
            let key = new.get(usage);
            if key.is_none() && !afresh {
                continue;
            }
            let before = old.get(usage);
            if key.zip(before).is_some_and(|(key, before)| key.same_content(before)) {
                continue;
            }
            if let Some(signer) = before.and_then(cross_signing::key_id) {
                self.forget_signer(tx, usage, &signer)?;
            }
            keys::set_cross_signing(tx.sql, usage, key)?;
        }
        self.devices_changed(tx)
    }

    /// Drops what a replaced key had signed.
    fn forget_signer(&self, tx: &Transaction<'_, H::Sql>, usage: Usage, signer: &str) -> Result<(), MatrixError> {
        match usage {
            Usage::Master => {}
            Usage::UserSigning => keys::drop_signer(tx.sql, signer)?,
            Usage::SelfSigning => {
                for (device_id, keys, _) in keys::devices(tx.sql, &[])? {
                    if let Ok(mut keys) = Signed::parse(&keys)
                        && keys.remove(self.user_id.as_str(), signer)
                    {
                        keys::set_device(tx.sql, &device_id, &keys)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn upload_signatures(&self, command: &UploadSignatures) -> Result<SignatureFailures, MatrixError> {
        if command.signed.values().map(BTreeMap::len).sum::<usize>() > MOST_SIGNED {
            return Err(MatrixError::invalid_param("Too many signatures"));
        }
        self.change(|tx| {
            let mut failures = SignatureFailures::new();
            let (mut own, mut others) = (false, Vec::new());
            for (user_id, signed) in &command.signed {
                for (key, json) in signed {
                    let taken = if *user_id == self.user_id {
                        self.take_own_signature(tx, key, json)?.map(|changed| own |= changed)
                    } else {
                        let master = command.masters.get(user_id);
                        self.take_signature(tx, user_id, (key, json), master)?.map(|()| others.push(user_id.clone()))
                    };
                    if let Err(error) = taken {
                        let error = RawJson::from_value(&MatrixError::from(error).to_json());
                        let error = error.map_err(|_| MatrixError::internal())?;
                        failures.entry(user_id.clone()).or_default().insert(key.clone(), error);
                    }
                }
            }
            // Whom the user trusts is nobody else's business: only the own devices look again. Nobody is followed with whom
            // no room is shared.
            let mut followed = Vec::new();
            for user_id in others {
                if shared_users::any(tx.sql, &user_id)? {
                    followed.push(user_id);
                }
            }
            device_lists::look_again(tx, &followed)?;
            if own {
                self.devices_changed(tx)?;
            }
            Ok(failures)
        })
    }

    /// A device signed by the self-signing key, or the master key signed by devices. False when that was known.
    fn take_own_signature(
        &self,
        tx: &Transaction<'_, H::Sql>,
        key: &str,
        json: &RawJson,
    ) -> Result<Result<bool, KeyError>, MatrixError> {
        let user = self.user_id.as_str();
        let stored_keys = stored(tx.sql)?;
        let is_master = stored_keys.master.as_ref().and_then(cross_signing::public_key) == Some(key);
        let (held, signers) = if is_master {
            let devices = keys::devices(tx.sql, &[])?;
            let signer = |id: &DeviceId| Some((device::signing_key_id(id.as_str()), signing_key(tx.sql, id)?));
            (stored_keys.master, devices.iter().filter_map(|(id, ..)| signer(id)).collect())
        } else {
            (keys::device(tx.sql, key.into())?, signers(stored_keys.self_signing.as_ref()))
        };
        let Some(mut held) = held else { return Ok(Err(KeyError::Unknown)) };
        let signatures = match accept(json, &held, user, &signers) {
            Ok(signatures) => signatures,
            Err(error) => return Ok(Err(error)),
        };
        let changed = held.add(user, &signatures);
        if changed && is_master {
            keys::set_cross_signing(tx.sql, Usage::Master, Some(&held))?;
        } else if changed {
            keys::set_device(tx.sql, key.into(), &held)?;
        }
        Ok(Ok(changed))
    }

    /// Somebody else's master key, signed by the user-signing key.
    fn take_signature(
        &self,
        tx: &Transaction<'_, H::Sql>,
        user_id: &OwnedUserId,
        (key, json): (&str, &RawJson),
        master: Option<&RawJson>,
    ) -> Result<Result<(), KeyError>, MatrixError> {
        let master = master.and_then(|master| Signed::parse(master).ok());
        let Some(master) = master.filter(|master| cross_signing::public_key(master) == Some(key)) else {
            return Ok(Err(KeyError::Unknown));
        };
        let signers = signers(stored(tx.sql)?.user_signing.as_ref());
        let signatures = match accept(json, &master, self.user_id.as_str(), &signers) {
            Ok(signatures) => signatures,
            Err(error) => return Ok(Err(error)),
        };
        for signature in &signatures {
            keys::add_signature(tx.sql, user_id, key, signature)?;
        }
        Ok(Ok(()))
    }
}

/// The signatures of `signers` over a key that must be the `held` one.
fn accept(
    json: &RawJson,
    held: &Signed,
    user: &str,
    signers: &BTreeMap<String, String>,
) -> Result<Vec<tern_keys::Signature>, KeyError> {
    let signed = Signed::parse(json)?;
    if !signed.same_content(held) {
        return Err(KeyError::OtherKey);
    }
    signed.verified(user, signers)
}

fn signers(key: Option<&Signed>) -> BTreeMap<String, String> {
    let public = key.and_then(cross_signing::public_key);
    public.map(|public| (format!("ed25519:{public}"), public.to_owned())).into_iter().collect()
}

fn signing_key(sql: &impl Sql, device_id: &DeviceId) -> Option<String> {
    let keys = keys::device(sql, device_id).ok()??;
    keys.key(&device::signing_key_id(device_id.as_str())).map(str::to_owned)
}

fn stored(sql: &impl Sql) -> Result<CrossSigningKeys, SqlError> {
    let read = |usage| Ok::<_, SqlError>(keys::cross_signing(sql, usage)?.and_then(|key| Signed::parse(&key).ok()));
    Ok(CrossSigningKeys {
        master: read(Usage::Master)?,
        self_signing: read(Usage::SelfSigning)?,
        user_signing: read(Usage::UserSigning)?,
    })
}
