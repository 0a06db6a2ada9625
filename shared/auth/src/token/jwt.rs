//! The access tokens of builds before: JSON Web Tokens (RFC 7519) under HS256. They are read as long as their sessions
//! last, and no longer made.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tern_model::{Caller, Config, Millis};

use super::Claims;
use crate::{hs256, secret::base64};

/// Changes when the claims change, so that older tokens are unknown and not misread.
const FORMAT: &[u8] = b"tern access token 1";

/// The claims as they are written.
#[derive(Deserialize)]
struct Written {
    /// The user.
    sub: OwnedUserId,
    /// The device.
    dev: String,
    /// The session.
    sid: String,
    /// Seconds since the epoch.
    iat: u64,
    /// Seconds since the epoch.
    exp: Option<u64>,
    /// What it is good for, as bits; the Client-Server API when absent.
    rts: Option<u8>,
}

/// What a token says; nothing when it is not one of ours.
pub(super) fn read(config: &Config, token: &str) -> Option<Claims> {
    hs256::install();
    let header = decode_header(token).ok()?;
    if header.alg != Algorithm::HS256 || header.kid.as_deref() != Some(key_id(config).as_str()) {
        return None;
    }
    // Time is checked by the caller, since the library reads the clock itself.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(&config.token_key);
    let Written { sub, dev, sid, iat, exp, rts } = decode(token, &key, &validation).ok()?.claims;
    if UserId::server_name(&sub) != config.server_name {
        return None;
    }
    let seconds = |seconds: u64| Millis(seconds.saturating_mul(1000));
    Some(Claims {
        caller: Caller { user_id: sub, device_id: dev.into() },
        session_id: sid,
        issued: seconds(iat),
        expires: exp.map(seconds),
        nonce: None,
        rights: rts,
    })
}

/// Names key and format without telling anything of the key.
fn key_id(config: &Config) -> String {
    let digest = Sha256::new().chain_update(FORMAT).chain_update(&config.token_key).finalize();
    base64(digest.get(..3).unwrap_or_default())
}
