//! What tests and benchmarks run Tern's parts on, natively and repeatably.
//!
//! - [`billed_rows`]: rows as the platform bills them.
//! - [`sqlite`]: an object's SQLite with the platform's limits, able to lose what was not yet durable.
//! - [`executor`]: runs `!Send` futures one step at a time, in order or shuffled by a seed; a stuck test fails at once.
//! - [`ambient`]: a clock that stands still until it is moved, and seeded entropy.
//! - [`crypto`]: key pairs and sealing that keep no secret, but notice every mistake.
//! - [`network`]: where frames go: closures per kind of target, or nowhere.
//! - [`d1`]: the storage worker's databases, with the real migrations, and the worker itself on top of them.
//! - [`host`]: [`TestHost`], which offers all of it to one actor as its Durable Object would.
//! - [`gateway`]: a push gateway.
//! - [`web`]: servers that are not ours.
//! - [`peer`]: another server, as far as one can be told by what it signs.
//! - [`world`]: a whole cluster of real actors in which anything may go wrong.
//!
//! Never a normal dependency of anything but the benchmarks.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up has to stop, with the reason")]

pub mod ambient;
pub mod billed_rows;
pub mod bucket;
pub mod crypto;
pub mod d1;
pub mod executor;
pub mod gateway;
pub mod host;
mod keyring;
pub mod network;
pub mod peer;
pub mod sqlite;
pub mod web;
pub mod world;

pub use ambient::{SeededEntropy, TestClock};
pub use crypto::FakeCrypto;
pub use d1::{D1, StorageNode};
pub use executor::Executor;
pub use gateway::Gateway;
pub use host::{TestHost, Wake};
pub use keyring::SigningKey;
pub use network::{Network, Nowhere, Routes};
pub use sqlite::Sqlite;
pub use web::TestWeb;
pub use world::{Client, Faults, Held, Reader, Work, World};
