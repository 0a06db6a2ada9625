//! The bytes of an access token, which travels with every request: fields, then a MAC over them, in base64 behind
//! `ta_`. About 90 characters, where the JSON Web Token of builds before had 220.
//!
//! ```text
//! flags 1 │ issued 4 │ lifetime 2? │ nonce 6? │ rights 1? │ n 1 │ localpart n │ m 1 │ session m │ device … │ MAC 16
//! ```
//!
//! Numbers are big-endian, times in seconds. A session id that is 16 bytes in base64 is those bytes.

use ruma::{OwnedUserId, UserId};
use subtle::ConstantTimeEq;
use tern_model::{Caller, Config, Millis};

use super::Claims;
use crate::secret::{base64, derived, from_base64};

/// What tokens begin with.
const PREFIX: &str = "ta_";
/// Bytes of the MAC.
const MAC: usize = 16;
/// Bytes of a session's own id.
const SESSION: usize = 16;
/// Characters of it.
const SESSION_TEXT: usize = 22;

/// Which fields there are.
mod flags {
    pub(super) const EXPIRES: u8 = 1;
    pub(super) const NONCE: u8 = 2;
    pub(super) const RIGHTS: u8 = 4;
    /// The session begins with bytes, not with text.
    pub(super) const RAW_SESSION: u8 = 8;
    pub(super) const ALL: u8 = 15;
}

/// The text of a token; nothing when a field is longer than any of ours.
pub(super) fn write(config: &Config, claims: &Claims) -> Option<String> {
    let mut body = vec![0];
    let mut set = 0;
    let issued = claims.issued.0 / 1000;
    body.extend(u32::try_from(issued).ok()?.to_be_bytes());
    if let Some(expires) = claims.expires {
        set |= flags::EXPIRES;
        body.extend(u16::try_from((expires.0 / 1000).checked_sub(issued)?).ok()?.to_be_bytes());
    }
    if let Some(nonce) = claims.nonce {
        set |= flags::NONCE;
        body.extend(nonce);
    }
    if let Some(rights) = claims.rights {
        set |= flags::RIGHTS;
        body.push(rights);
    }
    field(&mut body, claims.caller.user_id.localpart().as_bytes())?;
    let (raw, session) = session_bytes(&claims.session_id);
    set |= if raw { flags::RAW_SESSION } else { 0 };
    field(&mut body, &session)?;
    body.extend(claims.caller.device_id.as_bytes());
    *body.first_mut()? = set;
    let mac = mac(config, &body);
    body.extend(mac);
    Some(format!("{PREFIX}{}", base64(&body)))
}

/// What a token says; nothing when it is not one of ours.
pub(super) fn read(config: &Config, token: &str) -> Option<Claims> {
    let bytes = from_base64(token.strip_prefix(PREFIX)?)?;
    let (body, claimed) = bytes.split_at_checked(bytes.len().checked_sub(MAC)?)?;
    if !bool::from(mac(config, body).ct_eq(claimed)) {
        return None;
    }
    let mut rest = Rest(body);
    let [set] = rest.take::<1>()?;
    if set & !flags::ALL != 0 {
        return None;
    }
    let has = |flag: u8| set & flag != 0;
    let issued = u64::from(u32::from_be_bytes(rest.take()?));
    let lifetime = if has(flags::EXPIRES) { Some(u64::from(u16::from_be_bytes(rest.take()?))) } else { None };
    let nonce = if has(flags::NONCE) { Some(rest.take()?) } else { None };
    let rights = if has(flags::RIGHTS) { Some(rest.take::<1>()?[0]) } else { None };
    let user_id = user_id(config, rest.field()?)?;
    let session_id = session_text(has(flags::RAW_SESSION), rest.field()?)?;
    let device_id = std::str::from_utf8(rest.0).ok()?.into();
    let seconds = |seconds: u64| Millis(seconds * 1000);
    let expires = lifetime.map(|lifetime| seconds(issued + lifetime));
    let caller = Caller { user_id, device_id };
    Some(Claims { caller, session_id, issued: seconds(issued), expires, nonce, rights })
}

fn mac(config: &Config, body: &[u8]) -> [u8; MAC] {
    let mut text = format!("access token\0{}\0", config.server_name).into_bytes();
    text.extend(body);
    let mut mac = [0; MAC];
    mac.iter_mut().zip(derived(&config.token_key, &text)).for_each(|(to, from)| *to = from);
    mac
}

fn field(body: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    body.push(u8::try_from(bytes.len()).ok()?);
    body.extend(bytes);
    Some(())
}

fn user_id(config: &Config, localpart: &[u8]) -> Option<OwnedUserId> {
    let localpart = std::str::from_utf8(localpart).ok()?;
    UserId::parse(format!("@{localpart}:{}", config.server_name)).ok()
}

/// A session's id as bytes, and whether it begins with those of its own id.
fn session_bytes(session_id: &str) -> (bool, Vec<u8>) {
    let own = session_id.split_at_checked(SESSION_TEXT);
    match own.and_then(|(own, rest)| Some((from_base64(own).filter(|bytes| bytes.len() == SESSION)?, rest))) {
        Some((mut bytes, rest)) => {
            bytes.extend(rest.as_bytes());
            (true, bytes)
        }
        None => (false, session_id.as_bytes().to_vec()),
    }
}

fn session_text(raw: bool, bytes: &[u8]) -> Option<String> {
    let (own, rest) = bytes.split_at_checked(if raw { SESSION } else { 0 })?;
    Some(base64(own) + std::str::from_utf8(rest).ok()?)
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let [length] = self.take()?;
        let (field, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(field)
    }
}
