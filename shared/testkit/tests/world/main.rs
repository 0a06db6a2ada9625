//! The whole cluster under faults: nothing acknowledged is lost, doubled or reordered, and everything heals.
//!
//! `TERN_SEEDS=200 cargo test -p tern-testkit --test world` tries more days; a failure names its seed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod churn;
mod crowd;
mod days;
mod keys;
mod large;
mod lists;
mod push;
mod scene;
mod upgrades;
