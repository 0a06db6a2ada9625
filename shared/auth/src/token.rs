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

use crate::{hs256, oauth::scope::Rights, secret::base64};

/// How long an access token lives when the client has a refresh token, in milliseconds.
pub const LIFETIME: u64 = 5 * 60 * 1000;
/// How far ahead the clock of another place may be, in milliseconds.
const SKEW: u64 = 60_000;
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
    /// What it is good for.
    pub rights: Rights,
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
    /// What it is good for, as bits; the Client-Server API when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rts: Option<u8>,
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
    let nonce = refreshes.then_some(nonce);
    mint_claims(config, caller, session_id, refreshes.then(|| now.plus(LIFETIME)), now, nonce, None)
}

/// Makes the access token of an OAuth client, which always ends. The same arguments make the same token, so a refresh that
/// is repeated after a lost answer gets the pair that was lost.
///
/// # Errors
/// As [`mint`].
pub fn mint_granted(
    config: &Config,
    caller: &Caller,
    session_id: &str,
    rights: Rights,
    issued: Millis,
    nonce: [u8; 6],
) -> Result<Minted, TokenError> {
    mint_claims(config, caller, session_id, Some(issued.plus(LIFETIME)), issued, Some(nonce), Some(rights))
}

fn mint_claims(
    config: &Config,
    caller: &Caller,
    session_id: &str,
    expires: Option<Millis>,
    now: Millis,
    nonce: Option<[u8; 6]>,
    rights: Option<Rights>,
) -> Result<Minted, TokenError> {
    hs256::install();
    let claims = Claims {
        sub: caller.user_id.clone(),
        dev: caller.device_id.as_str().to_owned(),
        sid: session_id.to_owned(),
        iat: now.0 / 1000,
        exp: expires.map(|end| end.0 / 1000),
        jti: nonce.map(|nonce| base64(&nonce)),
        rts: rights.map(Rights::bits),
    };
    let header = Header { typ: None, kid: Some(key_id(config)), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(&config.token_key);
    let access_token = encode(&header, &claims, &key).map_err(|_| TokenError::Unknown)?;
    Ok(Minted { access_token, expires_in_ms: expires.map(|_| LIFETIME) })
}

/// Checks signature, algorithm, server and time of a token. Whether its session is still open only the hub knows.
///
/// # Errors
/// When it is not ours, or expired.
pub fn verify(config: &Config, token: &str, now: Millis) -> Result<Verified, TokenError> {
    let (verified, issued) = genuine(config, token)?;
    match verified {
        _ if issued > now.plus(SKEW) => Err(TokenError::Unknown),
        verified if verified.is_expired(now) => Err(TokenError::Expired),
        verified => Ok(verified),
    }
}

/// Reads a token of ours whatever its time: what it names can still be ended.
///
/// # Errors
/// When it is not ours.
pub fn verify_ended(config: &Config, token: &str) -> Result<Verified, TokenError> {
    genuine(config, token).map(|(verified, _)| verified)
}

/// A token of ours and when it was issued.
fn genuine(config: &Config, token: &str) -> Result<(Verified, Millis), TokenError> {
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
        rights: claims.rts.map_or(Rights::LEGACY, Rights::from_bits),
    };
    Ok((verified, Millis(claims.iat.saturating_mul(1000))))
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
