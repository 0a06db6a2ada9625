//! Algorithms of signatures that others check (RFC 7518, 3.1).

use serde::{Deserialize, Serialize};

/// A JSON Web Key: the public half of a key pair (RFC 7517).
pub type Jwk = serde_json::Map<String, serde_json::Value>;

/// A signature algorithm with a key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256; keys of 2,048 bits.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

impl Algorithm {
    /// All of them, the one that every client understands first.
    pub const ALL: [Self; 2] = [Self::Rs256, Self::Es256];

    /// Its name in `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}
