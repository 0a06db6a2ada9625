//! What was fetched for events on their way into the room.

use std::collections::BTreeMap;

use ruma::OwnedEventId;
use tern_model::StoredEvent;

use crate::graph::read_events::ReadEvents;

/// From the storage worker, what is not here any more.
#[derive(Default)]
pub(crate) struct Fetched {
    /// Events of the timeline that were trimmed.
    pub(crate) events: BTreeMap<OwnedEventId, StoredEvent>,
    /// What events cite, along auth chains.
    pub(crate) auth: BTreeMap<OwnedEventId, Vec<OwnedEventId>>,
    /// What was read here.
    pub(crate) read: ReadEvents,
}
