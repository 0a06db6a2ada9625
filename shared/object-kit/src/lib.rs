//! What every class of object is made of.
//!
//! - [`alarm`]: the one alarm of an object.
//! - [`backup`]: everything in an object, out of it and into an empty one.
//! - [`duties`]: what is done at an alarm, each part with its own time and pauses.
//! - [`schema`]: tables in numbered steps.
//! - [`group_commit`]: requests that are decided together and made durable by one write; the only lock in the project.
//! - [`fan_out`]: telling many hubs the same, by relays when there are many.

pub mod alarm;
pub mod backup;
pub mod duties;
pub mod fan_out;
pub mod group_commit;
pub mod schema;
