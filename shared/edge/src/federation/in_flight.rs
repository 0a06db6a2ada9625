//! One transaction of a server at a time, as everybody keeps it: a second one would be judged before the first is done.

use std::cell::RefCell;

use lru::LruCache;
use ruma::{OwnedServerName, ServerName};
use tern_model::{MatrixError, Millis};

/// A transaction that did not end by then was broken off, in milliseconds: nobody waits longer for an answer.
const LONGEST: u64 = 60_000;

/// When somebody who comes too early is to try again, in milliseconds.
const RETRY_AFTER: u64 = 1_000;

/// Servers that are remembered at a time; far more than requests that an isolate serves.
const CAPACITY: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(9_999);

/// The servers whose transactions an isolate is taking in.
pub struct InFlight(RefCell<LruCache<OwnedServerName, Millis>>);

impl Default for InFlight {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(CAPACITY)))
    }
}

/// A transaction is being taken in.
pub struct Permit<'a> {
    all: &'a InFlight,
    server: OwnedServerName,
    since: Millis,
}

impl InFlight {
    /// Lets one transaction of a server in.
    ///
    /// # Errors
    /// 429 `M_LIMIT_EXCEEDED` while there is another.
    pub fn enter(&self, server: &ServerName, now: Millis) -> Result<Permit<'_>, MatrixError> {
        let mut servers = self.0.borrow_mut();
        if servers.get(server).is_some_and(|since| now.since(*since) < LONGEST) {
            return Err(MatrixError::limit_exceeded(RETRY_AFTER));
        }
        servers.put(server.to_owned(), now);
        Ok(Permit { all: self, server: server.to_owned(), since: now })
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut servers = self.all.0.borrow_mut();
        // One that took too long may have a successor.
        if servers.get(&self.server) == Some(&self.since) {
            servers.pop(&self.server);
        }
    }
}
