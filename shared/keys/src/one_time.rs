//! The one-time keys of one device and algorithm.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tern_model::RawJson;

use crate::{KeyError, Signed};

/// Most keys that wait. Clients keep some fifty.
const MOST: usize = 1_000;
/// Fewest keys given out that are remembered.
const REMEMBERED: usize = 200;

/// Keys in the order of their upload (MSC4225), each of which is given out once.
///
/// Small enough to be one row: an upload writes one, and so does a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKeys {
    #[serde(rename = "k")]
    waiting: VecDeque<(String, RawJson)>,
    /// Id and fingerprint.
    #[serde(rename = "g", default, skip_serializing_if = "VecDeque::is_empty")]
    given: VecDeque<(String, u64)>,
    /// The most that ever waited. A client repeats an upload whose answer was lost, and by then all that waited may have
    /// been claimed: so many have to be remembered, or they would come back.
    #[serde(rename = "m", default)]
    most: usize,
}

impl OneTimeKeys {
    /// Adds a key; false when it is known already, be it waiting or given out.
    ///
    /// # Errors
    /// [`KeyError::Reused`] when another key has this id, [`KeyError::TooMany`].
    pub fn add(&mut self, id: &str, key: &RawJson) -> Result<bool, KeyError> {
        let waiting = self.waiting.iter().find(|(known, _)| known == id).map(|(_, key)| fingerprint(key));
        let given = || self.given.iter().find(|(known, _)| known == id).map(|(_, print)| *print);
        if let Some(known) = waiting.or_else(given) {
            return if known == fingerprint(key) { Ok(false) } else { Err(KeyError::Reused) };
        }
        if self.waiting.len() >= MOST {
            return Err(KeyError::TooMany);
        }
        self.waiting.push_back((id.to_owned(), key.clone()));
        self.most = self.most.max(self.waiting.len());
        Ok(true)
    }

    /// Gives the oldest key out, for good.
    pub fn claim(&mut self) -> Option<(String, RawJson)> {
        let (id, key) = self.waiting.pop_front()?;
        self.given.push_back((id.clone(), fingerprint(&key)));
        if self.given.len() > REMEMBERED.max(self.most) {
            self.given.pop_front();
        }
        Some((id, key))
    }

    /// How many wait.
    pub fn count(&self) -> u64 {
        self.waiting.len() as u64
    }
}

/// Of a key's content, in whatever order its fields came.
fn fingerprint(key: &RawJson) -> u64 {
    let canonical = Signed::parse(key).map(|signed| signed.to_json());
    let digest = Sha256::digest(canonical.as_ref().unwrap_or(key).text());
    digest.iter().take(6).fold(0, |print, byte| print << 8 | u64::from(*byte))
}
