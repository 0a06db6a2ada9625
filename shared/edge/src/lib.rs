//! What runs in the proxy worker: load, decide, ask the objects, answer. Generic over the ports, so it also runs natively.
//!
//! - [`limit`] asks a one-time store for rate limits that must be exact.
//! - [`poll`] is the waiting of a long poll, which happens in the proxy worker.
//! - [`keys`], [`to_device`] and [`backup`] are what end-to-end encryption asks of the proxy.
//! - [`session`], [`register`], [`uia`], [`account`], [`admin`], [`browser`], [`oauth`], [`profile`], [`push`], [`pushers`],
//!   [`create`], [`join`], [`aliases`], [`directory`], [`search`], [`spaces`], [`user_search`], [`report`], [`room_state`] and
//!   [`upgrade`] are the colder use-cases of the proxy, one function per endpoint.
//! - [`places`] finds where in a room a token of a sync is; [`legacy_sync`] is the syncs that clients had before `GET /sync`.
//! - [`signing`] keeps the keys of id tokens.
//! - [`threepid`] is mail addresses of accounts, and [`mail`] how mail is sent.
//! - [`preview`] looks at a page that somebody names, [`remote_media`] brings what another homeserver has.
//! - [`appservice`] is what application services ask, [`services`] what they are asked.
//! - [`federation`] is what other servers ask.
//! - [`upstream`] is signing in with an account of another provider.

pub mod account;
pub mod admin;
pub mod aliases;
pub mod appservice;
pub mod backup;
pub mod browser;
pub mod create;
mod credentials;
pub mod directory;
pub mod federation;
pub mod ignored;
pub mod join;
pub mod keys;
pub mod legacy_sync;
pub mod limit;
pub mod mail;
pub mod oauth;
pub mod places;
pub mod poll;
pub mod preview;
pub mod profile;
pub mod push;
pub mod pushers;
mod random;
pub mod register;
pub mod remote_media;
pub mod report;
pub mod room_state;
pub mod search;
pub mod services;
pub mod session;
pub mod signing;
pub mod spaces;
pub mod threads;
pub mod threepid;
pub mod to_device;
pub mod uia;
pub mod upgrade;
pub mod upstream;
pub mod user_search;
