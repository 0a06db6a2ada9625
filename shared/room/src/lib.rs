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
//! | what is an upgraded room made of? | [`upgrade`] |
//! | what does join, knock, invite, kick … send? | [`membership`] |
//! | what does a redaction remove, and who may? | [`redact`] |
//! | by what do users here join, leave and knock through another server? | [`template`] |
//! | is a PDU from elsewhere genuine? | [`receipt`] |
//! | how do users of other servers join, leave and knock through this one? | [`resident`] |
//! | what becomes of it? | [`accept`], over a [`history`] |
//! | what becomes of the room, and on what is the next event built? | [`mod@advance`] |
//! | in which order are events taken in? | [`order`] |
//! | which state, when the room forked? | [`mod@resolve`] |
//! | which servers does a room keep out? | [`acl`] |
//! | who may invite a user? | [`invites`] |
//! | who may see it? | [`visibility`] |
//! | what does a room show to those who look for one? | [`facts`] |
//! | what do others say about it? | [`relations`] |
//! | whom does it reach even when it is old? | [`sticky`] |
//! | how much state may a room have? | [`state_budget`] |
//! | in which thread is it? | [`thread`] |
//! | who is told? | [`audience`] |
//! | what does a client get? | [`client`], [`unsigned`], [`summary`] |
//!
//! # Checks on receipt of a PDU
//!
//! Server-Server API, "Checks performed on receipt of a PDU". A local event passes the same rules before it exists.
//!
//! | check | else | local event | from another server |
//! |---|---|---|---|
//! | a valid event of the room's version | dropped | [`build::build`] makes no other | [`receipt::Unverified::read`] |
//! | signatures | dropped | [`build::build`] adds them | [`receipt::Unverified::verify`] |
//! | hash | redacted | as above | as above |
//! | allowed by its auth events | rejected | [`auth::authorise`] | [`accept::authorise_pdu`] |
//! | allowed in the state before it | rejected | the same call: it stands on the present | as above |
//! | allowed in the present state | soft-failed | the same call | as above |
//! | recommended by the room's policy server | soft-failed | refused: it cannot be asked yet | [`policy`], within [`authorise_pdu`] |
//!
//! [`build::propose`] does all of it for a local event in one step; nothing else should make events that are to be
//! committed.

pub mod accept;
pub mod acl;
pub mod advance;
pub mod aggregate;
pub mod audience;
pub mod auth;
pub mod build;
mod canonical;
pub mod client;
mod content;
pub mod create;
pub mod draft;
pub mod error;
pub mod facts;
pub mod filter;
mod handshake_error;
pub mod history;
pub mod invites;
pub mod membership;
pub mod order;
pub mod policy;
pub mod power;
pub mod preset;
pub mod receipt;
pub mod redact;
pub mod relations;
pub mod resident;
pub mod resolve;
pub mod signer;
pub mod state_budget;
pub mod sticky;
pub mod summary;
pub mod template;
pub mod thread;
pub mod unsigned;
pub mod upgrade;
pub mod version;
pub mod view;
pub mod visibility;

pub use accept::{AuthorisedPdu, Verdict, authorise_outlier, authorise_pdu};
pub use advance::{Advance, Extremities, Former, MOST_EXTREMITIES, advance};
pub use audience::{Audience, VisibleRange};
pub use auth::{AuthState, authorise};
pub use build::{build, build_create, propose};
pub use client::{Form, client_event, stripped_event, with_room_id, with_transaction_id};
pub use create::{CreateRoomRequest, Plan, Profile, plan};
pub use draft::Draft;
pub use error::{
    AuthError, AuthoriseError, BuildError, CreateError, MembershipError, RedactError, SendError, Unreadable,
};
pub use handshake_error::HandshakeError;
pub use history::{History, Key, StateDelta, StateMap};
pub use invites::{InviteRules, Reception};
pub use membership::{Change, Outcome};
pub use receipt::{Dropped, Received, Unverified};
pub use relations::{Aggregation, Relation, Thread};
pub use resident::{HandedInvite, HandedOver};
pub use resolve::resolve;
pub use signer::{BadKey, Signer};
pub use sticky::sticky_until;
pub use template::TemplateError;
pub use version::{DEFAULT, KNOWN, SUPPORTED, Version};
pub use view::{Extremity, RoomView};
pub use visibility::{StateAccess, may_see, state_access};
