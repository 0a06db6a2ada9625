//! Ed25519 keys (Appendices, "Signing JSON").

use ed25519_dalek::VerifyingKey;

/// Whether these bytes are a point of small order: a public key under which signatures can be made without a private one.
/// Other servers, which verify with libsodium, take no signature of such a key, and neither does this one. What is no key
/// at all is not weak.
pub fn is_weak(public_key: &[u8]) -> bool {
    VerifyingKey::try_from(public_key).is_ok_and(|key| key.is_weak())
}
