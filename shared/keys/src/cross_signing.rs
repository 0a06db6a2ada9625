//! Cross-signing keys (Client-Server API, "Cross-signing").

use ruma::{
    UserId,
    serde::{Base64, base64::Standard},
};
use tern_model::RawJson;

use crate::{KeyError, Signed};

/// What a cross-signing key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// Vouches for the other two.
    Master,
    /// Vouches for the user's devices.
    SelfSigning,
    /// Vouches for other users; nobody else sees it.
    UserSigning,
}

impl Usage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Master, Self::SelfSigning, Self::UserSigning];

    /// The word in `usage`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// A user's cross-signing keys, or some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrossSigningKeys {
    /// `master_key`.
    pub master: Option<Signed>,
    /// `self_signing_key`.
    pub self_signing: Option<Signed>,
    /// `user_signing_key`.
    pub user_signing: Option<Signed>,
}

/// What an upload would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It brings nothing new (MSC3967): a repeat.
    None,
    /// There was no master key before.
    First,
    /// It changes what is there: the user must prove to be the owner.
    Replace,
}

/// The public key, which is also its name.
pub fn public_key(key: &Signed) -> Option<&str> {
    let keys = key.object("keys").filter(|keys| keys.len() == 1)?;
    let (id, _) = keys.first_key_value()?;
    id.strip_prefix("ed25519:").filter(|name| key.key(id) == Some(name))
}

/// The id under which a key signs.
pub fn key_id(key: &Signed) -> Option<String> {
    public_key(key).map(|public| format!("ed25519:{public}"))
}

impl CrossSigningKeys {
    /// The public halves, which are the names of the keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        Usage::ALL.into_iter().filter_map(|usage| self.get(usage)).filter_map(public_key)
    }

    /// The key of a usage.
    pub const fn get(&self, usage: Usage) -> Option<&Signed> {
        match usage {
            Usage::Master => self.master.as_ref(),
            Usage::SelfSigning => self.self_signing.as_ref(),
            Usage::UserSigning => self.user_signing.as_ref(),
        }
    }

    /// Reads one key of an upload.
    ///
    /// # Errors
    /// [`KeyError::BadJson`], [`KeyError::NotYours`].
    pub fn read(json: &RawJson, user_id: &UserId, usage: Usage) -> Result<Signed, KeyError> {
        let mut key = Signed::parse(json)?;
        let user = key.text("user_id").ok_or(KeyError::BadJson("user_id is needed"))?;
        let usages = key.texts("usage").ok_or(KeyError::BadJson("usage is needed"))?;
        if !usages.contains(&usage.name()) {
            return Err(KeyError::BadJson("The key is not for this usage"));
        }
        let public = public_key(&key).ok_or(KeyError::BadJson("keys must be one Ed25519 key under its own name"))?;
        if !Base64::<Standard>::parse(public).is_ok_and(|bytes| bytes.as_bytes().len() == 32) {
            return Err(KeyError::BadJson("The key is no Ed25519 key"));
        }
        if user != user_id.as_str() {
            return Err(KeyError::NotYours);
        }
        key.keep_signatures_of(user_id.as_str());
        Ok(key)
    }

    /// Checks an upload against what is `stored`: the master key, the new one or else the stored one, vouches for the
    /// others. `device` tells the signing key of one of the user's devices.
    ///
    /// # Errors
    /// [`KeyError::NoMaster`], [`KeyError::BadSignature`], [`KeyError::IdInUse`].
    pub fn check(
        &self,
        stored: &Self,
        user_id: &UserId,
        device: impl Fn(&str) -> Option<String>,
        is_device: impl Fn(&str) -> bool,
    ) -> Result<Change, KeyError> {
        let master = self.master.as_ref().or(stored.master.as_ref()).ok_or(KeyError::NoMaster)?;
        let public = public_key(master).ok_or(KeyError::NoMaster)?;
        let signer = format!("ed25519:{public}");
        for key in [&self.self_signing, &self.user_signing].into_iter().flatten() {
            key.verify(user_id.as_str(), &signer, public)?;
        }
        if let Some(master) = &self.master {
            check_devices(master, user_id, device)?;
        }
        if self.names().any(is_device) {
            return Err(KeyError::IdInUse);
        }
        Ok(self.change(stored))
    }

    fn change(&self, stored: &Self) -> Change {
        let known = |usage: &Usage| match (self.get(*usage), stored.get(*usage)) {
            (Some(new), Some(old)) => new.same_content(old),
            (new, _) => new.is_none(),
        };
        match &stored.master {
            None => Change::First,
            Some(_) if Usage::ALL.iter().all(known) => Change::None,
            Some(_) => Change::Replace,
        }
    }
}

/// Signatures of the user's devices over the master key are right, as far as the devices are known.
fn check_devices(master: &Signed, user_id: &UserId, device: impl Fn(&str) -> Option<String>) -> Result<(), KeyError> {
    let signatures = master.object("signatures").and_then(|signatures| signatures.get(user_id.as_str()));
    let Some(ruma::CanonicalJsonValue::Object(signatures)) = signatures else { return Ok(()) };
    for key_id in signatures.keys() {
        let public = key_id.strip_prefix("ed25519:").and_then(&device);
        if let Some(public) = public {
            master.verify(user_id.as_str(), key_id, &public)?;
        }
    }
    Ok(())
}
