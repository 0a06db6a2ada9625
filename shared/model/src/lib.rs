//! Values that every ring of Tern shares: identifiers, events, errors, time and configuration.
//!
//! Nothing here decides anything. A type lives in this crate when two siblings that must not import each other
//! (`tern-room`, `tern-sync`, `tern-auth`, `tern-push`) both speak of it.

pub mod appservice;
pub mod bounded;
pub mod bounds;
pub mod caller;
pub mod config;
pub mod ed25519;
pub mod error;
pub mod event;
pub mod facts;
pub mod ids;
pub mod jose;
pub mod json;
pub mod limits;
pub mod mail;
pub mod membership;
pub mod news;
pub mod notice;
pub mod pdu;
pub mod presence;
pub mod state_after;
pub mod sticky;
pub mod summary;
pub mod support;
pub mod time;
pub mod upstream;

pub use bounded::{Bounded, BoundedId, BoundedJson, BoundedMap, BoundedVec, TooLong};
pub use bounds::{EventField, EventRef, Name, ThreadId};
pub use caller::{Caller, TxnRef};
pub use config::{Accounts, Config, Federation, OldSigningKey};
pub use error::MatrixError;
pub use event::StoredEvent;
pub use facts::RoomFacts;
pub use ids::{RoomSeq, StreamPos};
pub use jose::{Algorithm, Jwk};
pub use json::RawJson;
pub use limits::{Class, Limits, Rate};
pub use mail::Mail;
pub use membership::{Handshake, MembershipAction};
pub use notice::{EphemeralNotice, Notice, NoticeEvent, Receipt, ResolvedState};
pub use pdu::Pdu;
pub use presence::{Presence, PresenceNote};
pub use state_after::StateAfter;
pub use sticky::StickyEvent;
pub use summary::{Hero, RoomSummary};
pub use support::Support;
pub use time::{CLOCK_SKEW_MS, Millis};
