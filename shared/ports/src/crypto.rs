//! Cryptography with key pairs, and sealing, as the platform does it: native, in constant time, and not part of the wasm.

use std::future::Future;

use tern_model::{Algorithm, Jwk, MatrixError};

/// A fresh key pair.
pub struct KeyPair {
    /// PKCS #8 (RFC 5208). A secret: to be sealed before it is kept.
    pub private: Vec<u8>,
    /// The public half, with the members that its thumbprint is made of (RFC 7638) and no others.
    pub public: Jwk,
}

/// The platform refused: a malformed key, or sealed content that was altered or is under another key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("crypto: {0}")]
pub struct CryptoError(pub String);

impl From<CryptoError> for MatrixError {
    fn from(_: CryptoError) -> Self {
        Self::internal()
    }
}

/// What WebCrypto offers.
pub trait Crypto {
    /// Makes a key pair.
    fn generate(&self, algorithm: Algorithm) -> impl Future<Output = Result<KeyPair, CryptoError>>;

    /// Signs `message` with a private key in PKCS #8. The signature has the form that JWS wants (RFC 7518, 3).
    fn sign(
        &self,
        algorithm: Algorithm,
        private: &[u8],
        message: &[u8],
    ) -> impl Future<Output = Result<Vec<u8>, CryptoError>>;

    /// Whether `signature` over `message` is by this key.
    fn verify(
        &self,
        algorithm: Algorithm,
        public: &Jwk,
        message: &[u8],
        signature: &[u8],
    ) -> impl Future<Output = Result<bool, CryptoError>>;

    /// Seals `content` under `key` (AES-256-GCM, a fresh nonce first), bound to `context`, which is not in it.
    fn seal(
        &self,
        key: &[u8; 32],
        context: &[u8],
        content: &[u8],
    ) -> impl Future<Output = Result<Vec<u8>, CryptoError>>;

    /// Opens what [`Crypto::seal`] sealed with the same key and context.
    fn open(&self, key: &[u8; 32], context: &[u8], sealed: &[u8])
    -> impl Future<Output = Result<Vec<u8>, CryptoError>>;
}
