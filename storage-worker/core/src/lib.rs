//! What the private worker does with D1 and R2, without the platform. It stores and returns; it never judges an event or a
//! token.
//!
//! A request is one frame of `tern_ports::wire`:
//!
//! 1. [`dispatch`] decodes the frame and picks the command, exhaustively.
//! 2. [`shard`] knows in which database a room is.
//! 3. [`commands`] builds one atomic batch per database it touches ([`sql`]) and shapes the rows into the reply.
//!
//! [`metrics`] is beside that: what one Durable Object of this worker keeps of all requests' costs.
//!
//! The databases' tables are described in `wrangler/migrations/SCHEMA.md`. The worker around this crate gives it D1, the
//! tests SQLite.

pub mod commands;
pub mod dispatch;
pub mod media;
pub mod metrics;
mod rows;
pub mod shard;
pub mod sql;
pub use media::MediaStore;
pub use shard::ShardMap;
pub use sql::{Database, Databases, Statement};

/// The storage worker: its databases, and what it remembers of the shard map.
pub struct Storage<'a, D> {
    /// The databases.
    pub databases: D,
    /// The shard map, which outlives a request.
    pub shards: &'a ShardMap,
}
