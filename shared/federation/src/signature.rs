//! Ed25519 signatures (Appendices, "Signing JSON").

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Unpadded, as everybody writes; read with padding and with bits to spare as well, as somebody will have written.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A public key that was looked at: a point of the curve, and none under which anybody can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a key in base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        VerifyingKey::try_from(bytes.as_slice()).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// The key in base64 without padding.
    pub fn text(&self) -> String {
        BASE64.encode(self.0.as_bytes())
    }

    /// Whether the holder of the private half has signed these bytes.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let bytes = BASE64.decode(signature).unwrap_or_default();
        Signature::from_slice(&bytes).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// A key of this server.
pub struct PrivateKey {
    /// `ed25519:…`
    pub id: String,
    key: SigningKey,
}

impl PrivateKey {
    /// The key of this id and seed, which has 32 bytes.
    pub fn new(id: &str, seed: &[u8]) -> Option<Self> {
        Some(Self { id: id.to_owned(), key: SigningKey::try_from(seed).ok()? })
    }

    /// The public half, in base64 without padding.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }

    /// Signs; the signature in base64 without padding.
    pub fn sign(&self, message: &[u8]) -> String {
        BASE64.encode(self.key.sign(message).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{PrivateKey, PublicKey};

    #[test]
    fn a_signature_is_of_one_key_and_one_message() {
        let key = PrivateKey::new("ed25519:1", &[7; 32]).unwrap();
        let (public, signature) = (key.public(), key.sign(b"text"));
        assert!(public.verifies(b"text", &signature) && public.verifies(b"text", &format!("{signature}==")));
        assert_eq!(PublicKey::parse(&format!("{}=", public.text())), Some(public.clone()));
        let other = PrivateKey::new("ed25519:1", &[8; 32]).unwrap();
        assert!(!public.verifies(b"Text", &signature) && !other.public().verifies(b"text", &signature));
        for broken in ["", "AAAA", "%", &signature[1..], &format!("{signature}AA")] {
            assert!(!public.verifies(b"text", broken), "{broken}");
        }
    }

    #[test]
    fn a_key_with_which_anybody_can_sign_is_none() {
        // The neutral point, a point of order 2, two of order 4, and no point at all.
        for hex in [
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "7P///////////////////////////////////////38",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
            "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AQ",
            "",
        ] {
            assert_eq!(PublicKey::parse(hex), None, "{hex}");
        }
        assert!(PrivateKey::new("ed25519:1", &[7; 31]).is_none());
    }
}
