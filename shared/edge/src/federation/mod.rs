//! What other servers ask, run in the proxy.
//!
//! - [`sender`] says who sends a request, by its signature; [`key_cache`] is what an isolate remembers of others' keys.
//! - [`own_keys`] is what this server says of its own keys, [`notary`] what it passes on of those of others.
//! - [`awake`] has what waits for a server sent when it asks something.
//! - [`queries`]: profiles, aliases and devices of users here; [`rooms`]: which room is asked about.

pub mod awake;
pub mod key_cache;
pub mod notary;
pub mod own_keys;
pub mod queries;
pub mod rooms;
pub mod sender;
