//! Handling of secrets and of random names.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Unpadded URL-safe base64.
pub fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Compares a secret with what somebody claims it to be, in a time that tells nothing of either.
pub fn same(secret: &str, claimed: &str) -> bool {
    Sha256::digest(secret).ct_eq(&Sha256::digest(claimed)).into()
}
