//! The rules of rooms: pure, synchronous functions of values. They await nothing, read no clock and know no platform.
//!
//! # Map
//!
//! | question | module |
//! |---|---|
//! | what must a caller know of a room? | [`view`] |
//! | which room versions, and what differs? | [`version`] |
//! | how does a draft become an event? | [`mod@build`] (size, references, hash, signature, id), [`signer`] |
//! | is it allowed? | [`auth`], with [`power`] for levels |
//! | what is a new room made of? | [`create`], [`preset`] |
//! | what does join, knock, invite, kick … send? | [`membership`] |
//! | what does a redaction remove, and who may? | [`redact`] |
//! | who may see it? | [`visibility`] |
//! | who is told? | [`audience`] |
//! | what does a client get? | [`client`], [`unsigned`], [`summary`] |
//!
//! # Checks on receipt of a PDU
//!
//! Server-Server API, "Checks performed on receipt of a PDU". A local event passes the same rules before it exists.
//!
//! 1. It is a valid event of the room's version, else dropped: [`build::build`] makes no other.
//! 2. Signatures and hashes are right, else dropped or redacted: [`build::build`] adds them.
//! 3. It passes the authorisation rules based on its auth events, else rejected: [`auth::authorise`].
//! 4. … based on the state before it, else rejected: the same call, since a local event stands on the current state.
//! 5. … based on the current state, else soft-failed: the same call.
//!
//! [`build::propose`] does all of it in one step; nothing else should make events that are to be committed.

pub mod audience;
pub mod auth;
pub mod build;
pub mod client;
pub mod create;
pub mod draft;
pub mod error;
pub mod membership;
pub mod power;
pub mod preset;
pub mod redact;
pub mod signer;
pub mod summary;
pub mod unsigned;
pub mod version;
pub mod view;
pub mod visibility;

pub use audience::{Audience, Share};
pub use auth::{AuthState, authorise};
pub use build::{build, build_create, propose};
pub use client::{Form, client_event, stripped_event, with_room_id, with_transaction_id};
pub use create::{CreateRoomRequest, Plan, Profile, plan};
pub use draft::Draft;
pub use error::{AuthError, BuildError, CreateError, MembershipError, RedactError, SendError, Unreadable};
pub use membership::{Action, Change, Outcome};
pub use signer::{BadKey, Signer};
pub use version::{DEFAULT, SUPPORTED, Version};
pub use view::{Extremity, RoomView};
pub use visibility::{StateAccess, may_see, state_access};
