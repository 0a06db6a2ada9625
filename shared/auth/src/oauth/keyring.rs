//! The keys that sign id tokens, and how they are rotated.
//!
//! Every algorithm has a key that signs, the one that will sign next and the one that signed before. All three are
//! published (RFC 7517), so whoever remembers the published set knows a key before its first signature, and still knows
//! the last one. Private halves are sealed; the one that signed before has none any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tern_model::{Algorithm, Config, Jwk, Millis};

use crate::secret::{base64, derived};

/// How long others may remember the published set, in milliseconds.
pub const REMEMBERED_FOR: u64 = 60 * 60 * 1000;

/// The keys of all algorithms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// When they were last rotated.
    #[serde(rename = "turned")]
    pub rotated: Millis,
    #[serde(rename = "turns")]
    rotations: BTreeMap<Algorithm, KeyRotation>,
}

/// The keys of one algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeyRotation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Jwk>,
    current: SealedKey,
    next: SealedKey,
}

/// A key pair as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// The public half.
    pub public: Jwk,
    /// The private half, sealed with [`sealing_key`] and the key's id, in base64.
    pub private: String,
}

impl SealedKey {
    /// Its id.
    pub fn id(&self) -> String {
        thumbprint(&self.public)
    }
}

/// Why keys are not rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// Somebody may still remember a set without the key that would sign now.
    #[error("The keys took turns less than an hour ago; whoever remembers the older ones would refuse the newest")]
    TooSoon,
    /// There is no fresh key for an algorithm.
    #[error("A key is missing")]
    Missing,
}

/// Fresh keys, one or two for every algorithm.
pub type Fresh = BTreeMap<Algorithm, Vec<SealedKey>>;

impl Keyring {
    /// The first keys: for every algorithm one that signs and one that comes next.
    ///
    /// # Errors
    /// [`RotationError::Missing`].
    pub fn begin(fresh: Fresh, now: Millis) -> Result<Self, RotationError> {
        let rotations = fresh.into_iter().map(|(algorithm, keys)| {
            let [current, next] = <[_; 2]>::try_from(keys).map_err(|_| RotationError::Missing)?;
            Ok((algorithm, KeyRotation { previous: None, current, next }))
        });
        Ok(Self { rotated: now, rotations: rotations.collect::<Result<_, _>>()? })
    }

    /// The next key signs from now on, a fresh one comes next.
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn rotate(mut self, mut fresh: Fresh, now: Millis) -> Result<Self, RotationError> {
        if now.since(self.rotated) < REMEMBERED_FOR {
            return Err(RotationError::TooSoon);
        }
        for (algorithm, rotations) in &mut self.rotations {
            let fresh = fresh.get_mut(algorithm).and_then(Vec::pop).ok_or(RotationError::Missing)?;
            let next = std::mem::replace(&mut rotations.next, fresh);
            rotations.previous = Some(std::mem::replace(&mut rotations.current, next).public);
        }
        Ok(Self { rotated: now, ..self })
    }

    /// The key that signs.
    pub fn current(&self, algorithm: Algorithm) -> Option<&SealedKey> {
        self.rotations.get(&algorithm).map(|rotations| &rotations.current)
    }

    /// The published set (RFC 7517, 5).
    pub fn published(&self) -> Value {
        let keys = self.rotations.iter().flat_map(|(algorithm, rotations)| {
            let all = rotations.previous.iter().chain([&rotations.current.public, &rotations.next.public]);
            all.map(|public| {
                let mut key = public.clone();
                let facts = [("kid", thumbprint(public)), ("alg", algorithm.name().into()), ("use", "sig".into())];
                key.extend(facts.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
                Value::from(key)
            })
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }
}

/// The id of a key: its thumbprint (RFC 7638). `public` has no members but those that count.
pub fn thumbprint(public: &Jwk) -> String {
    let members: BTreeMap<_, _> = public.iter().collect();
    // Text and nothing else always serialises.
    base64(&Sha256::digest(serde_json::to_string(&members).unwrap_or_default()))
}

/// What private halves are sealed with.
pub fn sealing_key(config: &Config) -> [u8; 32] {
    derived(&config.token_key, "oauth signing keys")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tern_model::{Algorithm, Jwk, Millis};

    use super::{Fresh, Keyring, REMEMBERED_FOR, RotationError, SealedKey, thumbprint};

    fn key(name: &str) -> SealedKey {
        let public = Jwk::from_iter([("kty".to_owned(), "EC".into()), ("x".to_owned(), name.into())]);
        SealedKey { public, private: format!("sealed {name}") }
    }

    fn fresh(names: &[&str]) -> Fresh {
        let keys =
            |algorithm: Algorithm| names.iter().map(|name| key(&format!("{name} {}", algorithm.name()))).collect();
        Algorithm::ALL.into_iter().map(|algorithm| (algorithm, keys(algorithm))).collect()
    }

    fn names(keyring: &Keyring) -> Vec<String> {
        let keys = keyring.published();
        let keys = keys.get("keys").and_then(Value::as_array).into_iter().flatten();
        keys.filter(|key| key.get("alg") == Some(&"ES256".into()))
            .filter_map(|key| Some(key.get("x")?.as_str()?.trim_end_matches(" ES256").to_owned()))
            .collect()
    }

    #[test]
    fn the_example_of_the_rfc_holds() {
        let key = json!({ "kty": "RSA", "e": "AQAB", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAt\
            VT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65\
            YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM\
            4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw" });
        let key = key.as_object().cloned().unwrap_or_default();
        assert_eq!(thumbprint(&key), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after() -> Result<(), RotationError> {
        let first = Keyring::begin(fresh(&["a", "b"]), Millis(0))?;
        assert_eq!(names(&first), ["a", "b"]);
        let hour = Millis(REMEMBERED_FOR);
        assert_eq!(first.clone().rotate(fresh(&["c"]), Millis(hour.0 - 1)), Err(RotationError::TooSoon));
        assert_eq!(first.clone().rotate(Fresh::new(), hour), Err(RotationError::Missing));
        let second = first.rotate(fresh(&["c"]), hour)?;
        assert_eq!(names(&second), ["a", "b", "c"]);
        assert_eq!(second.current(Algorithm::Es256), Some(&key("b ES256")));
        let third = second.rotate(fresh(&["d"]), hour.plus(REMEMBERED_FOR))?;
        assert_eq!(names(&third), ["b", "c", "d"]);
        assert!(!serde_json::to_string(&third).unwrap_or_default().contains("sealed b"), "its private half is gone");
        Ok(())
    }

    #[test]
    fn nothing_private_is_published() -> Result<(), RotationError> {
        let keyring = Keyring::begin(fresh(&["a", "b"]), Millis(0))?;
        assert!(!keyring.published().to_string().contains("sealed"));
        assert_eq!(Keyring::begin(fresh(&["a"]), Millis(0)), Err(RotationError::Missing));
        Ok(())
    }
}
