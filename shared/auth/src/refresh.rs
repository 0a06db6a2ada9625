//! Refresh tokens: `tern_r_{localpart}.{session}.{secret}.{tag}`. The localpart says whose hub to ask, the session for which
//! the request is counted, and the tag, made with `TOKEN_KEY`, that this server wrote both: so nobody is asked about a token
//! that was not given out. The hub keeps only the token's SHA-256.
//!
//! Tokens of builds before have no session and no tag. Each is exchanged for one that has.

use ruma::{OwnedUserId, UserId};
use tern_model::Config;

use crate::secret::{base64, derived, from_base64, same};

const PREFIX: &str = "tern_r_";
/// Nothing longer is looked at.
const MAX_LENGTH: usize = 512;
/// Bytes of a tag.
const TAG: usize = 16;

/// A refresh token that this server wrote, or may have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The user whose hub can judge it.
    pub user_id: OwnedUserId,
    /// The session it was written for; `None` for one of a build before, which is not proven to be ours.
    pub session_id: Option<String>,
}

/// Writes the token of a session with 32 random bytes. `session_id` has no dot.
pub fn write(config: &Config, user_id: &UserId, session_id: &str, secret: &[u8; 32]) -> String {
    let body = format!("{}.{session_id}.{}", base64(user_id.localpart().as_bytes()), base64(secret));
    format!("{PREFIX}{body}.{}", tag(config, &body))
}

/// What a token says; `None` when it has not the form of one, or was not written here.
pub fn read(config: &Config, token: &str) -> Option<Claim> {
    if token.len() > MAX_LENGTH {
        return None;
    }
    let body = token.strip_prefix(PREFIX)?;
    let parts: Vec<&str> = body.splitn(5, '.').collect();
    let (localpart, session_id, secret) = match *parts.as_slice() {
        [localpart, secret] => (localpart, None, secret),
        [localpart, session_id, secret, claimed] => {
            let written = body.strip_suffix(claimed)?.strip_suffix('.')?;
            (localpart, same(&tag(config, written), claimed).then(|| session_id.to_owned()).map(Some)?, secret)
        }
        _ => return None,
    };
    if from_base64(secret)?.len() != 32 {
        return None;
    }
    let localpart = String::from_utf8(from_base64(localpart)?).ok()?;
    let user_id = UserId::parse(format!("@{localpart}:{}", config.server_name)).ok()?;
    (user_id.localpart() == localpart).then_some(Claim { user_id, session_id })
}

fn tag(config: &Config, body: &str) -> String {
    let mac = derived(&config.token_key, format!("refresh token\0{body}"));
    base64(mac.get(..TAG).unwrap_or(&mac))
}
