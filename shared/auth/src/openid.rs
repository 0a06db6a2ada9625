//! OpenID tokens: proof for others of who a user is (Client-Server API, "OpenID"). They open nothing here, since a key of
//! their own signs them, and they need no storage.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tern_model::{Config, MatrixError, Millis};

use crate::hs256;

/// How long a token proves anything, in milliseconds.
pub const LIFETIME: u64 = 60 * 60 * 1000;
/// Nothing longer is looked at.
const MAX_LENGTH: usize = 1024;
/// Sets the key apart from the one that signs access tokens.
const PURPOSE: &[u8] = b"tern openid token 1";

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user.
    sub: OwnedUserId,
    /// Seconds since the epoch.
    exp: u64,
}

/// Makes a token for a user.
///
/// # Errors
/// When it cannot be signed, which no configuration that was accepted leads to.
pub fn mint(config: &Config, user_id: &UserId, now: Millis) -> Result<String, MatrixError> {
    hs256::install();
    let claims = Claims { sub: user_id.to_owned(), exp: now.plus(LIFETIME).0 / 1000 };
    let header = Header { typ: None, ..Header::new(Algorithm::HS256) };
    encode(&header, &claims, &EncodingKey::from_secret(&key(config))).map_err(|_| MatrixError::internal())
}

/// Whose token it is, if it is genuine and not expired.
pub fn check(config: &Config, token: &str, now: Millis) -> Option<OwnedUserId> {
    hs256::install();
    if token.len() > MAX_LENGTH {
        return None;
    }
    // Time is checked here, since the library reads the clock itself.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let claims = decode::<Claims>(token, &DecodingKey::from_secret(&key(config)), &validation).ok()?.claims;
    (now.0 / 1000 < claims.exp).then_some(claims.sub)
}

fn key(config: &Config) -> Vec<u8> {
    Sha256::new().chain_update(PURPOSE).chain_update(&config.token_key).finalize().to_vec()
}
