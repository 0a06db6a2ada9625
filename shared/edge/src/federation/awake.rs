//! Servers that ask something are there: what waits for them is sent now, however long they were away.

use std::{cell::RefCell, num::NonZeroUsize};

use lru::LruCache;
use ruma::OwnedServerName;
use tern_model::Millis;
use tern_ports::{Transport, ask_destination, wire::destination::WakeDestination};

/// Servers that are remembered.
const CAPACITY: usize = 1_000;
/// The object of a server is told once in so long by an isolate, in milliseconds.
const ONCE_IN: u64 = 60_000;

/// When the objects of servers were last told that their servers are there.
pub struct Awake(RefCell<LruCache<OwnedServerName, Millis>>);

impl Default for Awake {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl Awake {
    /// A server has sent a genuine request. At most one message to another part in a minute; whether it arrives does not
    /// matter to the request.
    pub async fn note<E: Transport>(&self, edge: &E, server: &OwnedServerName, now: Millis) {
        let told = self.0.borrow_mut().get(server).copied();
        if told.is_some_and(|told| now.since(told) < ONCE_IN) {
            return;
        }
        self.0.borrow_mut().put(server.clone(), now);
        ask_destination(edge, server, WakeDestination {}).await.ok();
    }
}
