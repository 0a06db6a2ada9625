//! Login tokens (Client-Server API, "`POST /login/get_token`" and "SSO client login/authentication"): what they look like.
//!
//! A token carries its end and a signature, so that one that nobody was given is refused without asking anybody. Whom it
//! signs in, and that it does so once, is kept elsewhere.

use tern_model::{Config, Millis};

use crate::secret::{base64, derived, from_base64, same};

/// How long a token is good, in milliseconds.
pub const LIFETIME: u64 = 120_000;
/// How tokens begin.
const PREFIX: &str = "tern_l_";
/// Bytes of a token: random ones, its end, its signature.
const RANDOM: usize = 24;
const SIGNED: usize = RANDOM + 8;
const SIGNATURE: usize = 16;

/// A new token, and when it ends.
pub fn make(config: &Config, now: Millis, random: [u8; RANDOM]) -> (String, Millis) {
    let until = now.plus(LIFETIME);
    let mut bytes = random.to_vec();
    bytes.extend(until.0.to_be_bytes());
    let signature = signature(config, &bytes);
    bytes.extend(signature);
    (format!("{PREFIX}{}", base64(&bytes)), until)
}

/// Whether this is a token of ours that is not over.
pub fn is_open(config: &Config, token: &str, now: Millis) -> bool {
    let bytes = token.strip_prefix(PREFIX).filter(|rest| rest.len() <= 128).and_then(from_base64).unwrap_or_default();
    bytes.split_at_checked(SIGNED).is_some_and(|(signed, claimed)| {
        let (_, end) = signed.split_at(RANDOM);
        same(&base64(&signature(config, signed)), &base64(claimed)) && end > now.0.to_be_bytes().as_slice()
    })
}

fn signature(config: &Config, signed: &[u8]) -> Vec<u8> {
    let mut signature = derived(&config.token_key, format!("login token\0{}", base64(signed))).to_vec();
    signature.truncate(SIGNATURE);
    signature
}
