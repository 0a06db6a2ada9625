//! The room's hub, on a database that can crash, before a storage worker and user hubs that can be out.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod announcing;
mod around;
mod bounds;
mod delayed;
mod durability;
mod ephemeral;
mod far;
mod full;
mod gaps;
mod handshakes;
mod history;
mod hostile;
mod ignored;
mod joining;
mod long;
mod membership;
mod outgoing;
mod received;
mod redaction;
mod relations;
mod relays;
mod resolution;
mod scene;
mod sending;
mod servers;
mod services;
mod slice;
mod splits;
mod state_bytes;
mod sticky;
mod threads;
mod waiting;
mod waking;
