//! Access tokens: JSON Web Tokens (RFC 7519) under HS256, verified at the edge without any hop.
//!
//! A token says which session it belongs to. Sessions end in the user's hub, so a token is only as good as the last word
//! of that hub; see [`crate::cache`]. A session that refreshes gets tokens of [`LIFETIME`]; one that does not gets a token
//! without an end, which dies with its session.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tern_model::{Caller, Config, MatrixError, Millis};

use crate::{hs256, secret::base64};

/// How long an access token lives when the client has a refresh token, in milliseconds.
pub const LIFETIME: u64 = 5 * 60 * 1000;
/// Nothing longer is looked at.
const MAX_LENGTH: usize = 4096;
/// Changes when the claims change, so that older tokens are unknown and not misread.
const FORMAT: &[u8] = b"tern access token 1";

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, or its session has ended.
    #[error("unknown access token")]
    Unknown,
    /// It was good once; the client may refresh.
    #[error("expired access token")]
    Expired,
}

impl From<TokenError> for MatrixError {
    fn from(error: TokenError) -> Self {
        Self::unknown_token(error == TokenError::Expired)
    }
}

/// A fresh access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub access_token: String,
    /// `expires_in_ms`, when it expires.
    pub expires_in_ms: Option<u64>,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose token it is.
    pub caller: Caller,
    /// The session in the user's hub.
    pub session_id: String,
    /// When it stops being good.
    pub expires: Option<Millis>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user.
    sub: OwnedUserId,
    /// The device.
    dev: String,
    /// The session.
    sid: String,
    /// Seconds since the epoch.
    iat: u64,
    /// Seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    /// Makes two tokens of one session differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
}

/// Makes an access token for a session; short-lived when the client can refresh it.
///
/// # Errors
/// [`TokenError::Unknown`] when it cannot be signed, which no configuration that was accepted leads to.
pub fn mint(
    config: &Config,
    caller: &Caller,
    session_id: &str,
    refreshes: bool,
    now: Millis,
    nonce: [u8; 6],
) -> Result<Minted, TokenError> {
    hs256::install();
    let claims = Claims {
        sub: caller.user_id.clone(),
        dev: caller.device_id.as_str().to_owned(),
        sid: session_id.to_owned(),
        iat: now.0 / 1000,
        exp: refreshes.then(|| now.plus(LIFETIME).0 / 1000),
        jti: refreshes.then(|| base64(&nonce)),
    };
    let header = Header { typ: None, kid: Some(key_id(config)), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(&config.token_key);
    let access_token = encode(&header, &claims, &key).map_err(|_| TokenError::Unknown)?;
    Ok(Minted { access_token, expires_in_ms: refreshes.then_some(LIFETIME) })
}

/// Checks signature, algorithm, server and time of a token. Whether its session is still open only the hub knows.
///
/// # Errors
/// When it is not ours, or expired.
pub fn verify(config: &Config, token: &str, now: Millis) -> Result<Verified, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Unknown);
    }
    let claims = read(config, token)?;
    if UserId::server_name(&claims.sub) != config.server_name {
        return Err(TokenError::Unknown);
    }
    let verified = Verified {
        caller: Caller { user_id: claims.sub, device_id: claims.dev.into() },
        session_id: claims.sid,
        expires: claims.exp.map(|seconds| Millis(seconds.saturating_mul(1000))),
    };
    if verified.is_expired(now) { Err(TokenError::Expired) } else { Ok(verified) }
}

impl Verified {
    /// Its time is over.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

fn read(config: &Config, token: &str) -> Result<Claims, TokenError> {
    hs256::install();
    let header = decode_header(token).map_err(|_| TokenError::Unknown)?;
    if header.alg != Algorithm::HS256 || header.kid.as_deref() != Some(key_id(config).as_str()) {
        return Err(TokenError::Unknown);
    }
    // Time is checked by the caller, since the library reads the clock itself.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(&config.token_key);
    decode::<Claims>(token, &key, &validation).map(|data| data.claims).map_err(|_| TokenError::Unknown)
}

/// Names key and format without telling anything of the key.
fn key_id(config: &Config) -> String {
    let digest = Sha256::new().chain_update(FORMAT).chain_update(&config.token_key).finalize();
    base64(digest.get(..3).unwrap_or_default())
}
