//! Who is told what: the queue of each member, what goes to them together, relays of large rooms, typing and
//! receipts; other servers and application services.

pub(crate) mod announce;
pub(crate) mod delivery_queue;
pub(crate) mod enqueue;
pub(crate) mod ephemeral;
pub(crate) mod joined_users;
pub(crate) mod listeners;
pub(crate) mod notice_batch;
pub(crate) mod pending;
pub(crate) mod server_ephemeral;
pub(crate) mod server_queue;
pub(crate) mod servers;
pub(crate) mod service_aliases;
pub(crate) mod service_ephemeral;
pub(crate) mod services;
pub(crate) mod shards;
pub(crate) mod summary;
pub(crate) mod workers;
