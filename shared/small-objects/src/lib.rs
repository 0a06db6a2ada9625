//! The small classes of objects: what is used once, what two devices hand over to each other, and relays.
//!
//! - [`gate`]: what must be exact and does not last: rate limits, stages of interactive authentication, login tokens.
//! - [`handoff`]: rendezvous and device grants.
//! - [`relay`]: tells a share of a large room's listeners what the room would tell them.

pub mod gate;
pub mod handoff;
pub mod relay;
