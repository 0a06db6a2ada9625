//! The small classes of objects: what is used once, what two devices hand over to each other, and relays.
//!
//! - [`one_time_store`]: what must be exact and does not last: rate limits, stages of interactive authentication, login tokens.
//! - [`device_sign_in`]: rendezvous and device grants.
//! - [`destination`]: what is asked of another server, once for all who want it.
//! - [`relay`]: tells a shard of a large room's listeners what the room would tell them.

pub mod destination;
pub mod device_sign_in;
pub mod one_time_store;
pub mod relay;
