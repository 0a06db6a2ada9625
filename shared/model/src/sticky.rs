//! Sticky events (MSC4354).

use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{Millis, RawJson};

/// A message that reaches everybody who is in its room while it is sticky, however many came after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickyEvent {
    /// The event's id.
    pub event_id: OwnedEventId,
    /// `sender`.
    pub sender: OwnedUserId,
    /// Until when it is sticky.
    pub until: Millis,
    /// The event in client form without `room_id`, with `event_id`.
    pub client: RawJson,
}
