//! The server's signing key.

use std::fmt;

use ruma::{
    CanonicalJsonObject, OwnedServerName, ServerName,
    room_version_rules::RedactionRules,
    signatures::{Ed25519KeyPair, JsonError, hash_and_sign_event, sign_event, sign_json},
};

/// The ASN.1 of a PKCS#8 document up to the 32 bytes of an Ed25519 seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// The signing key cannot be used: ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad signing key: {0}")]
pub struct BadKey(String);

/// Signs in the name of this server (Server-Server API, "Signing events").
pub struct Signer {
    server_name: OwnedServerName,
    key: Ed25519KeyPair,
}

impl Signer {
    /// A signer from the 32 bytes of an Ed25519 seed and an id such as `ed25519:a1`.
    ///
    /// # Errors
    /// When the id names another algorithm or the seed has another length.
    pub fn new(server_name: OwnedServerName, key_id: &str, seed: &[u8]) -> Result<Self, BadKey> {
        let Some(name) = key_id.strip_prefix("ed25519:").filter(|name| !name.is_empty()) else {
            return Err(BadKey("the key id must be `ed25519:` and a name".to_owned()));
        };
        let document = [&PKCS8_PREFIX, seed].concat();
        let key = Ed25519KeyPair::from_der(&document, name.to_owned()).map_err(|error| BadKey(error.to_string()))?;
        Ok(Self { server_name, key })
    }

    /// This server.
    pub fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    /// The public half, 32 bytes.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.public_key()
    }

    /// Adds the content hash and the signature.
    pub(crate) fn seal(&self, event: &mut CanonicalJsonObject, rules: &RedactionRules) -> Result<(), JsonError> {
        hash_and_sign_event(self.server_name.as_str(), &self.key, event, rules)
    }

    /// Adds this server's signature to another server's event: for a join that a local user let in (room version 8, "Join
    /// rules"), or an invite of a local user.
    ///
    /// # Errors
    /// When the event has no hashes, or `signatures` is not an object.
    pub fn countersign(&self, event: &mut CanonicalJsonObject, rules: &RedactionRules) -> Result<(), JsonError> {
        sign_event(self.server_name.as_str(), &self.key, event, rules)
    }

    /// Signs any object (Appendices, "Signing JSON").
    ///
    /// # Errors
    /// When `signatures` is there and not an object.
    pub fn sign(&self, object: &mut CanonicalJsonObject) -> Result<(), JsonError> {
        sign_json(self.server_name.as_str(), &self.key, object)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
