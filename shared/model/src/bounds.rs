//! The bounds of what clients and other servers fill in: one name for each kind of value.

use ruma::OwnedEventId;

use crate::bounded::{Bounded, BoundedId};

/// An event's id (Appendices, "Event IDs").
pub type EventRef = BoundedId<OwnedEventId>;

/// Any other identifier, a `type`, a `state_key`, a tag, a field of a profile, a transaction id: 255 bytes (Client-Server
/// API, "Size limits"; Appendices, "Common identifier format").
pub type Name = Bounded<255>;

/// A `type` or `state_key` of an event that is there already: of old ones it is only certain that they fit into an event.
pub type EventField = Bounded<65_536>;

/// `thread_id` of a receipt: `main`, or the id of a thread's root.
pub type ThreadId = Name;
