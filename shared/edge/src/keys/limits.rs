//! How much is asked at once.

/// Hubs asked at a time. What the platform cannot take at once it lets wait.
pub(crate) const AT_A_TIME: usize = 24;
/// Most users in one request: each is a call, of which a request has ten thousand.
pub(crate) const MOST_USERS: usize = 5_000;
