//! Verified tokens of this isolate, and when their sessions were last confirmed.
//!
//! A request that reaches the user's hub is refused there when its session has ended. For every other request the session
//! must have been confirmed by the hub within [`CONFIRMED_FOR`]: that is how long a logout takes to bite elsewhere.

use std::{num::NonZeroUsize, rc::Rc};

use lru::LruCache;
use sha2::{Digest, Sha256};
use tern_model::{Config, Millis};

use crate::{TokenError, Verified, token::verify};

/// How long a confirmation by the hub is relied on, in milliseconds.
pub const CONFIRMED_FOR: u64 = 5_000;
/// Tokens kept, at well under 1 kB each.
const CAPACITY: usize = 4_096;

/// SHA-256 of a token; tokens themselves are not kept.
type Key = [u8; 32];

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Good, and its session was open a moment ago.
    Fresh(Rc<Verified>),
    /// Good, but the hub must be asked before anything is done that does not reach it.
    Confirm(Rc<Verified>),
    /// Not good.
    Refused(TokenError),
}

struct Entry {
    verified: Rc<Verified>,
    session: Session,
}

#[derive(Clone, Copy)]
enum Session {
    Unasked,
    OpenAt(Millis),
    Ended,
}

/// A bounded cache of verified tokens.
pub struct TokenCache {
    entries: LruCache<Key, Entry>,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new(NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN))
    }
}

impl TokenCache {
    /// A cache for this many tokens.
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { entries: LruCache::new(capacity) }
    }

    /// Checks a token; its signature only the first time.
    pub fn check(&mut self, config: &Config, token: &str, now: Millis) -> Check {
        let key = key(token);
        let Some(entry) = self.entries.get(&key) else {
            return self.admit(config, key, token, now);
        };
        if entry.verified.is_expired(now) {
            self.entries.pop(&key);
            return Check::Refused(TokenError::Expired);
        }
        let verified = Rc::clone(&entry.verified);
        match entry.session {
            Session::Ended => Check::Refused(TokenError::Unknown),
            Session::OpenAt(at) if now.since(at) < CONFIRMED_FOR => Check::Fresh(verified),
            Session::OpenAt(_) | Session::Unasked => Check::Confirm(verified),
        }
    }

    /// The hub has said that the session of this token is open. `at` is when it was asked, not when it answered.
    pub fn confirm(&mut self, token: &str, at: Millis) {
        self.set(token, Session::OpenAt(at));
    }

    /// The session of this token has ended, which is for ever.
    pub fn end(&mut self, token: &str) {
        self.set(token, Session::Ended);
    }

    /// The sessions of these tokens have ended, as far as this isolate has seen them.
    pub fn end_where(&mut self, ended: impl Fn(&Verified) -> bool) {
        for (_, entry) in &mut self.entries {
            if ended(&entry.verified) {
                entry.session = Session::Ended;
            }
        }
    }

    fn admit(&mut self, config: &Config, key: Key, token: &str, now: Millis) -> Check {
        match verify(config, token, now) {
            Err(error) => Check::Refused(error),
            Ok(verified) => {
                let verified = Rc::new(verified);
                self.entries.put(key, Entry { verified: Rc::clone(&verified), session: Session::Unasked });
                Check::Confirm(verified)
            }
        }
    }

    fn set(&mut self, token: &str, session: Session) {
        if let Some(entry) = self.entries.get_mut(&key(token)) {
            // A late confirmation does not reopen what has ended, nor does an early one shorten a later one.
            entry.session = match (entry.session, session) {
                (Session::Ended, _) => Session::Ended,
                (Session::OpenAt(old), Session::OpenAt(new)) => Session::OpenAt(old.max(new)),
                (_, new) => new,
            };
        }
    }
}

fn key(token: &str) -> Key {
    Sha256::digest(token).into()
}
