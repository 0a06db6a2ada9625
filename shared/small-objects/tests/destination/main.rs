//! The object of another server: finds it, asks it, tells it what happened here.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod devices;
mod keys;
mod leases;
mod messages;
mod queue;
mod requests;
mod services;
mod support;
mod telling;
