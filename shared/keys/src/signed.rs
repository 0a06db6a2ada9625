//! JSON objects with signatures (Appendices, "Signing JSON").

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue,
    serde::{Base64, base64::Standard},
    signatures::{SigningKeyAlgorithm, to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};
use serde::{Deserialize, Serialize};
use tern_model::{RawJson, ed25519};

use crate::KeyError;

/// One signature over a key, in the words of `signatures[user][signer]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Key id of the signer: `ed25519:` and a device id or a public key.
    pub signer: String,
    /// The signature, unpadded base64.
    pub signature: String,
}

/// A JSON object that may carry signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed(CanonicalJsonObject);

impl Signed {
    /// Reads an object. `unsigned`, which nobody vouches for, is left out.
    ///
    /// # Errors
    /// [`KeyError::BadJson`] when it is no object of canonical JSON (Appendices, "Canonical JSON").
    pub fn parse(json: &RawJson) -> Result<Self, KeyError> {
        let mut object: CanonicalJsonObject =
            json.read().map_err(|_| KeyError::BadJson("A key must be an object of canonical JSON"))?;
        object.remove("unsigned");
        Ok(Self(object))
    }

    /// The object as canonical JSON, signatures included.
    pub fn to_json(&self) -> RawJson {
        RawJson::from_value(&self.0).unwrap_or_else(|_| RawJson::empty_object())
    }

    /// The text in a field.
    pub fn text(&self, field: &str) -> Option<&str> {
        text(self.0.get(field)?)
    }

    /// The texts in a field that is a list of texts and nothing else.
    pub fn texts(&self, field: &str) -> Option<Vec<&str>> {
        let CanonicalJsonValue::Array(items) = self.0.get(field)? else { return None };
        items.iter().map(text).collect()
    }

    /// The object in a field.
    pub fn object(&self, field: &str) -> Option<&CanonicalJsonObject> {
        match self.0.get(field)? {
            CanonicalJsonValue::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The public key in `keys` under an id such as `ed25519:JLAFKJWSCS`.
    pub fn key(&self, key_id: &str) -> Option<&str> {
        text(self.object("keys")?.get(key_id)?)
    }

    /// The signature that `user_id` made with the key `key_id`.
    pub fn signature(&self, user_id: &str, key_id: &str) -> Option<&str> {
        let CanonicalJsonValue::Object(by_key) = self.object("signatures")?.get(user_id)? else { return None };
        text(by_key.get(key_id)?)
    }

    /// Everything but the signatures is the same.
    pub fn same_content(&self, other: &Self) -> bool {
        let content = |signed: &Self| {
            let mut object = signed.0.clone();
            object.remove("signatures");
            object
        };
        content(self) == content(other)
    }

    /// Checks the signature that `user_id` made with the Ed25519 key `key_id`, whose public half is given.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] when it is missing or wrong.
    pub fn verify(&self, user_id: &str, key_id: &str, public_key: &str) -> Result<(), KeyError> {
        let signature = self.signature(user_id, key_id).ok_or(KeyError::BadSignature)?;
        let (key, signature) = (decode(public_key)?, decode(signature)?);
        if ed25519::is_weak(key.as_bytes()) {
            return Err(KeyError::BadSignature);
        }
        let text = to_canonical_json_string_for_signing(&self.0).map_err(|_| KeyError::BadSignature)?;
        verify_canonical_json_bytes(
            &SigningKeyAlgorithm::Ed25519,
            key.as_bytes(),
            signature.as_bytes(),
            text.as_bytes(),
        )
        .map_err(|_| KeyError::BadSignature)
    }

    /// Of `signers` (key ids and public keys of `user_id`), the signatures that are there; all of them are right and there
    /// is at least one. What others signed is not looked at.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`].
    pub fn verified(&self, user_id: &str, signers: &BTreeMap<String, String>) -> Result<Vec<Signature>, KeyError> {
        let mut found = Vec::new();
        for (key_id, public_key) in signers {
            if let Some(signature) = self.signature(user_id, key_id) {
                self.verify(user_id, key_id, public_key)?;
                found.push(Signature { signer: key_id.clone(), signature: signature.to_owned() });
            }
        }
        if found.is_empty() { Err(KeyError::BadSignature) } else { Ok(found) }
    }

    /// Adds signatures of `user_id`; false when they were all there.
    pub fn add(&mut self, user_id: &str, signatures: &[Signature]) -> bool {
        let mut all = self.object("signatures").cloned().unwrap_or_default();
        let mut of_user = match all.remove(user_id) {
            Some(CanonicalJsonValue::Object(of_user)) => of_user,
            _ => CanonicalJsonObject::new(),
        };
        let mut changed = false;
        for Signature { signer, signature } in signatures {
            let value = CanonicalJsonValue::String(signature.clone());
            changed |= of_user.insert(signer.clone(), value.clone()) != Some(value);
        }
        all.insert(user_id.to_owned(), CanonicalJsonValue::Object(of_user));
        self.0.insert("signatures".to_owned(), CanonicalJsonValue::Object(all));
        changed
    }

    /// Leaves only what `user_id` signed. Whom somebody else trusts is not for everybody to see (Client-Server API, "Key
    /// and signature security").
    pub fn keep_signatures_of(&mut self, user_id: &str) {
        if let Some(CanonicalJsonValue::Object(signatures)) = self.0.get_mut("signatures") {
            signatures.retain(|signer, _| signer == user_id);
        }
    }

    /// Removes the signature that `user_id` made with `key_id`; false when there was none.
    pub fn remove(&mut self, user_id: &str, key_id: &str) -> bool {
        let Some(CanonicalJsonValue::Object(signatures)) = self.0.get_mut("signatures") else { return false };
        let Some(CanonicalJsonValue::Object(of_user)) = signatures.get_mut(user_id) else { return false };
        of_user.remove(key_id).is_some()
    }
}

fn text(value: &CanonicalJsonValue) -> Option<&str> {
    match value {
        CanonicalJsonValue::String(text) => Some(text),
        _ => None,
    }
}

fn decode(text: &str) -> Result<Base64, KeyError> {
    Base64::<Standard>::parse(text).map_err(|_| KeyError::BadSignature)
}
