//! What may be lost at any time.

use std::future::Future;

/// A store that may be stale, may forget and may fail without harm. Nothing that must be true or used once belongs here.
pub trait Cache {
    /// What was kept under this key, at most 512 bytes long; `None` also when the store cannot be reached.
    fn recall(&self, key: &str) -> impl Future<Output = Option<String>>;

    /// Keeps a text for about that many seconds, sixty at least, if it can.
    fn remember(&self, key: &str, text: String, seconds: u64) -> impl Future<Output = ()>;
}
