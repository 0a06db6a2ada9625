//! Access tokens, verified at the edge without any hop.
//!
//! A token says which session it belongs to. Sessions end in the user's hub, so a token is only as good as the last word
//! of that hub; see [`crate::cache`]. A session that refreshes gets tokens of [`LIFETIME`]; one that does not gets a token
//! without an end, which dies with its session.

mod compact;
mod jwt;

use tern_model::{Caller, Config, MatrixError, Millis};

use crate::oauth::scope::Rights;

/// How long an access token lives when the client has a refresh token, in milliseconds.
pub const LIFETIME: u64 = 5 * 60 * 1000;
/// How far ahead the clock of another place may be, in milliseconds.
const SKEW: u64 = 60_000;
/// Nothing longer is looked at.
const MAX_LENGTH: usize = 4096;

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

/// What is written into a token.
struct Claims {
    caller: Caller,
    session_id: String,
    issued: Millis,
    expires: Option<Millis>,
    /// Makes two tokens of one session differ.
    nonce: Option<[u8; 6]>,
    /// What it is good for, as bits; the Client-Server API when absent.
    rights: Option<u8>,
}

/// Makes an access token for a session; short-lived when the client can refresh it.
///
/// # Errors
/// [`TokenError::Unknown`] when a name in it is longer than any there is.
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
    let claims = Claims {
        caller: caller.clone(),
        session_id: session_id.to_owned(),
        issued: now,
        expires,
        nonce,
        rights: rights.map(Rights::bits),
    };
    let access_token = compact::write(config, &claims).ok_or(TokenError::Unknown)?;
    Ok(Minted { access_token, expires_in_ms: expires.map(|_| LIFETIME) })
}

/// Checks authenticity, server and time of a token. Whether its session is still open only the hub knows.
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
    let claims = compact::read(config, token).or_else(|| jwt::read(config, token)).ok_or(TokenError::Unknown)?;
    let Claims { caller, session_id, issued, expires, rights, .. } = claims;
    let rights = rights.map_or(Rights::LEGACY, Rights::from_bits);
    Ok((Verified { caller, session_id, expires, rights }, issued))
}

impl Verified {
    /// Its time is over.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}
