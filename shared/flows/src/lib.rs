//! Placeholder of the crate map.
pub mod room;
pub mod turnstile;
pub mod create;
pub mod join;
pub mod profile;
pub mod push;
pub mod register;
pub mod session;
pub mod poll;
pub mod user;
