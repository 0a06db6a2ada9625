//! The actor of a user's hub, on a test host: one command at a time, with crashes between and inside.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod absent;
mod bounds;
mod chaos;
mod copies;
mod counting;
mod counting_model;
mod data;
mod delivery;
mod duties;
mod identities;
mod ignoring;
mod inbox_bytes;
mod keys;
mod notifications;
mod outside_invites;
mod places;
mod presence;
mod push;
mod recent;
mod resolution;
mod room_upgrade;
mod sessions;
mod standing;
mod sticky;
mod support;
mod sync;
mod threads;
mod upgrade;
