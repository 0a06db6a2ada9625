//! Refresh tokens: `tern_r_{localpart}.{secret}`, both in base64. The localpart says whose hub to ask; the hub keeps only
//! the token's SHA-256.

use ruma::{OwnedUserId, ServerName, UserId};

use crate::secret::{base64, from_base64};

const PREFIX: &str = "tern_r_";
/// Nothing longer is looked at.
const MAX_LENGTH: usize = 512;

/// Writes the token of a user with 32 random bytes.
pub fn write(user_id: &UserId, secret: &[u8; 32]) -> String {
    format!("{PREFIX}{}.{}", base64(user_id.localpart().as_bytes()), base64(secret))
}

/// The user whose hub can judge this token; `None` when it has not the form of one.
pub fn user_of(token: &str, server_name: &ServerName) -> Option<OwnedUserId> {
    if token.len() > MAX_LENGTH {
        return None;
    }
    let (localpart, secret) = token.strip_prefix(PREFIX)?.split_once('.')?;
    if from_base64(secret)?.len() != 32 {
        return None;
    }
    let localpart = String::from_utf8(from_base64(localpart)?).ok()?;
    UserId::parse(format!("@{localpart}:{server_name}")).ok().filter(|user_id| user_id.localpart() == localpart)
}
