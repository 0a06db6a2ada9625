//! What this server says of its own keys: `GET /_matrix/key/v2/server`.

use std::cell::RefCell;

use tern_federation::{
    server_keys::{OWN_VALIDITY, is_key_id, publish},
    signature::{PrivateKey, PublicKey},
};
use tern_model::{Config, Federation, MatrixError, Millis};

/// An answer is signed anew when less of its time is left, in milliseconds: twelve hours.
const RENEWED_BEFORE: u64 = OWN_VALIDITY / 2;

/// The answer as an isolate remembers it, and until when it is good.
#[derive(Default)]
pub struct OwnKeys(RefCell<Option<(Millis, String)>>);

impl OwnKeys {
    /// The answer, good for twelve hours at least and a day at most.
    ///
    /// # Errors
    /// 500 when the signing key is none.
    pub fn answer(&self, config: &Config, now: Millis) -> Result<String, MatrixError> {
        let known = self.0.borrow();
        if let Some((_, answer)) = known.as_ref().filter(|(until, _)| until.since(now) >= RENEWED_BEFORE) {
            return Ok(answer.clone());
        }
        drop(known);
        let key = key(config).ok_or_else(MatrixError::internal)?;
        let until = now.plus(OWN_VALIDITY);
        let answer = publish(config.server_name.as_str(), &key, &config.federation.old_keys, until);
        let answer = answer.map_err(|_| MatrixError::internal())?;
        self.0.replace(Some((until, answer.clone())));
        Ok(answer)
    }
}

/// The signing key of this server.
pub fn key(config: &Config) -> Option<PrivateKey> {
    PrivateKey::new(&config.signing_key_id, &config.signing_key)
}

/// Whether the operator has named keys and servers that can be used.
///
/// # Errors
/// What is wrong.
pub fn check(federation: &Federation, signing_key_id: &str) -> Result<(), String> {
    for (key_id, old) in &federation.old_keys {
        if !is_key_id(key_id) || PublicKey::parse(&old.key).is_none() {
            return Err(format!("{key_id} is no Ed25519 key"));
        }
        if key_id == signing_key_id {
            return Err(format!("{key_id} is the key that signs now"));
        }
    }
    Ok(())
}
