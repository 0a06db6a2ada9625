//! Signing keys and the public objects that clients make with them.

use ruma::{
    CanonicalJsonObject, UserId,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value, json};
use tern_model::RawJson;

/// The ASN.1 of a PKCS#8 document up to the 32 bytes of an Ed25519 seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// An Ed25519 key of a user: of a device, or for cross-signing.
pub struct SigningKey {
    seed: [u8; 32],
    user_id: String,
    /// What stands behind `ed25519:` in its id.
    pub name: String,
    /// The public half.
    pub public: String,
}

impl SigningKey {
    /// The key of a device.
    pub fn of_device(user_id: &UserId, device_id: &str) -> Self {
        let key = Self::make(user_id, device_id);
        Self { name: device_id.to_owned(), ..key }
    }

    /// A cross-signing key; `label` tells it from others of the user. It is called by its public half.
    pub fn cross(user_id: &UserId, label: &str) -> Self {
        Self::make(user_id, label)
    }

    /// Another key under the same name, as of a device that was set up anew.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let seed = self.seed.map(|byte| byte.wrapping_add(1));
        let public = Base64::<Standard, _>::new(pair(&seed, "x").public_key()).encode();
        Self { seed, user_id: self.user_id.clone(), name: self.name.clone(), public }
    }

    fn make(user_id: &UserId, label: &str) -> Self {
        let text = format!("{label} of {user_id}");
        let mut seed = [0_u8; 32];
        for (index, byte) in text.bytes().enumerate() {
            if let Some(place) = seed.get_mut(index % 32) {
                *place = place.wrapping_mul(31).wrapping_add(byte);
            }
        }
        let public = Base64::<Standard, _>::new(pair(&seed, "x").public_key()).encode();
        Self { seed, user_id: user_id.to_string(), name: public.clone(), public }
    }

    /// Adds this key's signature.
    ///
    /// # Panics
    /// When `object` is no object of canonical JSON.
    #[must_use]
    pub fn sign(&self, object: Value) -> Value {
        let mut object: CanonicalJsonObject = serde_json::from_value(object).expect("canonical JSON");
        sign_json(&self.user_id, &pair(&self.seed, &self.name), &mut object).expect("signatures are an object");
        serde_json::to_value(object).expect("canonical JSON is JSON")
    }

    /// The identity keys of the device, signed.
    #[must_use]
    pub fn identity(&self) -> Value {
        let Self { name, public, user_id, .. } = self;
        self.sign(json!({
            "user_id": user_id, "device_id": name,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": { format!("ed25519:{name}"): public, format!("curve25519:{name}"): public },
        }))
    }

    /// A one-time or fallback key of the device, signed.
    ///
    /// # Panics
    /// Never: the object is JSON.
    pub fn disposable(&self, id: &str) -> RawJson {
        RawJson::from_value(&self.sign(json!({ "key": format!("{id} of {}", self.name) }))).expect("JSON")
    }

    /// The key as it is uploaded for cross-signing.
    #[must_use]
    pub fn for_usage(&self, usage: &str) -> Value {
        let Self { public, user_id, .. } = self;
        json!({ "user_id": user_id, "usage": [usage], "keys": { format!("ed25519:{public}"): public } })
    }
}

fn pair(seed: &[u8; 32], name: &str) -> Ed25519KeyPair {
    let document = [&PKCS8_PREFIX[..], seed].concat();
    Ed25519KeyPair::from_der(&document, name.to_owned()).expect("a seed has 32 bytes")
}
