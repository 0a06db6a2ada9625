//! How many events each server may send to the room.

use std::{cell::RefCell, num::NonZeroUsize};

use lru::LruCache;
use ruma::{OwnedServerName, ServerName};
use tern_model::Millis;

/// A server may send an event every so many milliseconds, and up to [`BURST`] at once. Checking one takes a sixth of a
/// millisecond of the room's object, so nobody has more than a hundredth of its time for long.
const INTERVAL_MS: u64 = 16;
const BURST: u64 = 5_000;

/// Servers that are remembered. Whoever was forgotten begins anew.
const MOST_SERVERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// When each server's share will be whole again.
pub(crate) struct Origins(RefCell<LruCache<OwnedServerName, u64>>);

impl Default for Origins {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(MOST_SERVERS)))
    }
}

impl Origins {
    /// Takes so many events of a server's share.
    ///
    /// # Errors
    /// When they are too many: the milliseconds after which they would not be.
    pub(crate) fn take(&self, origin: &ServerName, events: usize, now: Millis) -> Result<(), u64> {
        let mut origins = self.0.borrow_mut();
        let whole_at = origins.get(origin).copied().unwrap_or_default().max(now.0);
        let whole_at = whole_at.saturating_add(INTERVAL_MS.saturating_mul(events as u64));
        match whole_at.saturating_sub(now.0).checked_sub(INTERVAL_MS * BURST) {
            Some(missing) if missing > 0 => Err(missing),
            _ => {
                origins.put(origin.to_owned(), whole_at);
                Ok(())
            }
        }
    }
}
