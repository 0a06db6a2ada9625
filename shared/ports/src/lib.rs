//! The contract between Tern's parts: what an object's host offers (`host`, `sql`), how parts reach each other
//! (`transport`), how servers that are not ours are asked (`outbound`), what
//! may be lost (`cache`), and the typed, versioned messages that parts exchange
//! (`wire`).
//!
//! Two kinds of trait live here. *Host* traits are what a Durable Object or Worker gives to the flow that runs in it:
//! clock, entropy, background work, alarm, SQLite, waiting sockets, `crypto`. *Transport* carries one frame to one part
//! and brings one frame back; everything a part can be asked is an enum in `wire`, so a new request does not compile
//! until its owner answers it. `meter` is what a request cost,
//! `platform_limits` what is refused everywhere since production would refuse it.
//!
//! Futures are not `Send`: Workers are single-threaded, and so are the tests.

pub mod cache;
pub mod content;
pub mod crypto;
pub mod host;
pub mod meter;
pub mod outbound;
pub mod platform_limits;
pub mod poll;
pub mod sql;
pub mod transport;
pub mod wire;

pub use cache::Cache;
pub use content::ContentTransport;
pub use crypto::{Crypto, CryptoError, KeyPair};
pub use host::{Attachment, Charsets, Clock, Entropy, ObjectHost, Spawn, WaitingPolls};
pub use outbound::Outbound;
pub use poll::{PollReply, Polls, WaitingPoll};
pub use sql::{Row, Sql, SqlError, Value};
pub use transport::{
    Target, Transport, Unreachable, ask_destination, ask_device_sign_in, ask_one_time_store, ask_relay, ask_room,
    ask_service, ask_storage, ask_user,
};
