//! Handling of secrets and of random names.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Unpadded URL-safe base64.
pub fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of unpadded URL-safe base64.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Compares a secret with what somebody claims it to be, in a time that tells nothing of either.
pub fn same(secret: &str, claimed: &str) -> bool {
    Sha256::digest(secret).ct_eq(&Sha256::digest(claimed)).into()
}

/// Bytes that only the holder of `key` can make of `text`, and always makes the same.
pub fn derived(key: &[u8], text: impl AsRef<[u8]>) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    // A key of any length is good for HMAC, so this cannot fail; if it could, the answer would still be keyed.
    mac.map_or_else(
        |_| Sha256::new().chain_update(key).chain_update(&text).finalize().into(),
        |mac| mac.chain_update(b"tern derived 1\0").chain_update(&text).finalize().into_bytes().into(),
    )
}
