//! Proof Key for Code Exchange (RFC 7636), method S256 only.

use sha2::{Digest, Sha256};

use crate::secret::{base64, same};

/// Whether this is a challenge that method S256 can have made: 32 bytes in unpadded URL-safe base64.
pub fn is_challenge(challenge: &str) -> bool {
    challenge.len() == 43 && crate::secret::from_base64(challenge).is_some()
}

/// Whether the verifier belongs to the challenge.
pub fn proves(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    well_formed && same(challenge, &base64(&Sha256::digest(verifier)))
}

#[cfg(test)]
mod tests {
    use super::{is_challenge, proves};

    #[test]
    fn the_example_of_the_rfc_holds() {
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(is_challenge(challenge));
        assert!(proves("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge));
        // Method "plain" is not known.
        assert!(!proves(challenge, challenge));
        assert!(!proves("short", challenge));
        assert!(!is_challenge("dBjftJeZ4CVP"));
    }
}
