//! What other servers ask, run in the proxy.
//!
//! - [`sender`] says who sends a request, by its signature; [`key_cache`] is what an isolate remembers of others' keys.
//! - [`own_keys`] is what this server says of its own keys, [`notary`] what it passes on of those of others.
//! - [`queries`]: profiles, aliases and devices of users here.

pub mod key_cache;
pub mod notary;
pub mod own_keys;
pub mod queries;
pub mod sender;
