//! What other servers ask, run in the proxy.
//!
//! - [`sender`] says who sends a request, by its signature; [`key_cache`] is what an isolate remembers of others' keys.
//! - [`own_keys`] is what this server says of its own keys, [`notary`] what it passes on of those of others.
//! - [`transaction`] is what they send: events, whose signers' keys [`event_keys`] finds, and [`edus`]; [`in_flight`] lets one
//!   in at a time.
//! - [`handshake`] is how their users join, leave and knock through this server, and [`invite`] how they
//!   invite users of this one.
//! - [`joining`] is how users here join rooms of other servers, with the keys that `room_keys` finds; [`leaving`] how they reject
//!   invites and knock, both `through` one of these servers; [`inviting`] how they invite users of others. [`requests`] makes
//!   the requests.
//! - [`awake`] has what waits for a server sent when it asks something.
//! - [`queries`]: profiles, aliases and devices of users here; [`rooms`]: which room is asked about; [`hierarchy`]: spaces.
//! - [`third_party`] is invites to addresses.
//!
//! And what is asked of them, by [`requests`]: [`profiles`] of their users, their [`directory`], [`summaries`] of their rooms.

pub mod awake;
pub mod directory;
pub mod edus;
pub mod event_keys;
pub mod handshake;
pub mod hierarchy;
pub mod in_flight;
pub mod invite;
pub mod inviting;
pub mod joining;
pub mod key_cache;
pub mod leaving;
pub mod notary;
pub mod own_keys;
pub mod profiles;
pub mod queries;
pub mod requests;
mod room_keys;
pub mod rooms;
pub mod sender;
pub mod summaries;
pub mod third_party;
mod through;
pub mod transaction;
