//! Servers and application services that ask something are there: what waits for them is sent now, however long they were
//! away.

use std::{cell::RefCell, num::NonZeroUsize};

use lru::LruCache;
use ruma::OwnedServerName;
use tern_model::Millis;
use tern_ports::{Transport, ask_destination, ask_service, wire::destination::WakeDestination};

/// Those that are remembered.
const CAPACITY: usize = 1_000;
/// The object of a server is told once in so long by an isolate, in milliseconds.
const ONCE_IN: u64 = 60_000;

/// When the objects of servers and services were last told that these are there. No name of a server has a slash.
pub struct Awake(RefCell<LruCache<String, Millis>>);

impl Default for Awake {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl Awake {
    /// A server has sent a genuine request. At most one message to another part in a minute; whether it arrives does not
    /// matter to the request.
    pub async fn note<E: Transport>(&self, edge: &E, server: &OwnedServerName, now: Millis) {
        if self.is_due(server.as_str(), now) {
            ask_destination(edge, server, WakeDestination {}).await.ok();
        }
    }

    /// An application service has sent a request with its token; likewise.
    pub async fn note_service<E: Transport>(&self, edge: &E, id: &str, now: Millis) {
        if self.is_due(&format!("appservice/{id}"), now) {
            ask_service(edge, id, WakeDestination {}).await.ok();
        }
    }

    fn is_due(&self, name: &str, now: Millis) -> bool {
        let mut told = self.0.borrow_mut();
        if told.get(name).is_some_and(|told| now.since(*told) < ONCE_IN) {
            return false;
        }
        told.put(name.to_owned(), now);
        true
    }
}
