//! Which thread an event is in (Client-Server API, "Threading"), and which receipts fit it ("Threaded read receipts").

use ruma::{EventId, OwnedEventId};
use tern_model::StoredEvent;

use crate::relations::{Relation, is_redacted};

/// `thread_id` of what is in no thread.
pub const MAIN: &str = "main";

/// Relations followed from an event to the one that is in a thread, at most.
pub const MOST_STEPS: usize = 3;

/// Where an event is, as far as it tells itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In no thread.
    Main,
    /// In the thread of this root.
    Thread(OwnedEventId),
    /// Wherever the event is that it relates to.
    With(OwnedEventId),
    /// It does not tell any more, since it was redacted.
    Lost,
}

/// Where `event` is.
pub fn place(event: &StoredEvent) -> Place {
    match Relation::of(event) {
        Some(relation) if relation.rel_type == "m.thread" => Place::Thread(relation.event_id),
        Some(relation) => Place::With(relation.event_id),
        None if is_redacted(event) => Place::Lost,
        None => Place::Main,
    }
}

/// A receipt for `event_id`, which is at `place`, may be of the thread `thread_id`. A root is in the main timeline, and
/// begins its own thread. Where the place is not known, it may be of any.
pub fn fits(thread_id: &str, event_id: &EventId, place: &Place) -> bool {
    match place {
        Place::Main => thread_id == MAIN || thread_id == event_id.as_str(),
        Place::Thread(root) => thread_id == root.as_str(),
        Place::With(_) | Place::Lost => true,
    }
}
