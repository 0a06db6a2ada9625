//! Key pairs and sealing that keep no secret, but break when anything is mixed up: another key, context, algorithm or
//! message is noticed as it would be on the platform.

use ruma::serde::{Base64, base64::UrlSafe};
use serde_json::json;
use sha2::{Digest, Sha256};
use tern_model::{Algorithm, Jwk};
use tern_ports::{Crypto, CryptoError, Entropy, KeyPair};

use crate::SeededEntropy;

/// See the module.
#[derive(Clone, Debug)]
pub struct FakeCrypto(SeededEntropy);

impl FakeCrypto {
    /// One whose keys follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }
}

impl Crypto for FakeCrypto {
    async fn generate(&self, algorithm: Algorithm) -> Result<KeyPair, CryptoError> {
        let mut private = vec![0; 32];
        self.0.fill(&mut private);
        let public = json!({ "kty": algorithm.name(), "x": text(digest(&[&private])) });
        Ok(KeyPair { private, public: public.as_object().cloned().unwrap_or_default() })
    }

    async fn sign(&self, algorithm: Algorithm, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let public = text(digest(&[private]));
        Ok(digest(&[algorithm.name().as_bytes(), public.as_bytes(), message]).to_vec())
    }

    async fn verify(
        &self,
        algorithm: Algorithm,
        public: &Jwk,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let public = public.get("x").and_then(|x| x.as_str()).unwrap_or_default();
        Ok(digest(&[algorithm.name().as_bytes(), public.as_bytes(), message]) == signature)
    }

    async fn seal(&self, key: &[u8; 32], context: &[u8], content: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let covered: Vec<u8> = content.iter().map(|byte| byte ^ 0x5a).collect();
        Ok([&digest(&[key, context, content])[..], &covered].concat())
    }

    async fn open(&self, key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let refused = || CryptoError("altered, or under another key".to_owned());
        let (tag, covered) = sealed.split_at_checked(32).ok_or_else(refused)?;
        let content: Vec<u8> = covered.iter().map(|byte| byte ^ 0x5a).collect();
        if digest(&[key, context, &content]) == tag { Ok(content) } else { Err(refused()) }
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn text(bytes: [u8; 32]) -> String {
    Base64::<UrlSafe, _>::new(bytes).encode()
}
