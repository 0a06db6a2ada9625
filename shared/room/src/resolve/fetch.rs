//! How the algorithms get at events.

use std::cell::RefCell;

use ruma::EventId;
use tern_model::Pdu;

use crate::{error::Unreadable, history::History};

/// An event that the algorithm asks for. What cannot be read must not look as if it did not exist, so the failure is kept.
pub(super) fn read(history: &impl History, event_id: &EventId, failure: &RefCell<Option<Unreadable>>) -> Option<Pdu> {
    history.event(event_id).unwrap_or_else(|error| {
        failure.borrow_mut().get_or_insert(error);
        None
    })
}
