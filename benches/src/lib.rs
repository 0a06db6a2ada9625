//! What a request costs: workloads over the real flows, on ports in memory.
//!
//! Two kinds of number come out. *Counts* (bytes, hops, storage calls, rows, allocations) are the same on every machine;
//! `budgets.toml` holds their ceilings and `tests/budgets.rs` enforces them. *Times* are criterion's, for comparing two
//! builds on one machine.
//!
//! - [`cluster`]: hubs of rooms and users, the storage worker, and the frames between them, counted; [`host`] carries one
//!   actor.
//! - [`phone`]: a signed-in device and its part of the edge.
//! - [`corpus`]: rooms of any size, accounts with any number of rooms, the same for the same numbers.
//! - [`graph`]: rooms in which several servers write, as the rules see them.
//! - [`cost`]: what one request has caused; [`counting`] counts allocations where it is installed.
//! - [`workloads`]: everything that has a budget, with `encryption` and `federation`; [`budget`]: the file with the ceilings.
//! - [`bill`]: what that is in dollars.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that cannot be set up has to stop, with the reason"
)]

pub mod bill;
pub mod budget;
pub mod cluster;
pub mod corpus;
pub mod cost;
pub mod counting;
mod encryption;
mod federation;
pub mod graph;
pub mod host;
mod media;
pub mod phone;
mod pushing;
pub mod workloads;

use std::time::Duration;

pub use cluster::Cluster;
pub use cost::Cost;
pub use phone::Phone;

/// The settings of every timed benchmark: enough to see a trend, short enough to be run.
pub fn criterion() -> criterion::Criterion {
    criterion::Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
}
