//! The commands against native SQLite with the real migrations, through the wire format.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "what a test prepares is known to be good"
)]

mod accounts;
mod append;
mod archive;
mod backup;
mod clients;
mod cost;
mod keyring;
mod levels;
mod media;
mod metrics;
mod public_keys;
mod pushkeys;
mod remote;
mod rooms;
mod search;
mod server_keys;
mod support;
mod sync;
mod thumbnail;
mod timeline;
mod troubles;
mod users;
mod wire;
