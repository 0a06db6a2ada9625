//! Events on their way into the room.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use ruma::OwnedEventId;
use tern_model::Pdu;
use tern_ports::wire::receive::PduResult;

use crate::graph::known::Fetched;

/// Events on their way into the room, with what the turns have made of them.
pub(crate) struct Batch {
    pub(crate) events: Vec<Pdu>,
    pub(crate) outliers: Vec<Pdu>,
    pub(crate) fetched: RefCell<Fetched>,
    /// Events that were looked for in the storage worker.
    pub(crate) sought: RefCell<BTreeSet<OwnedEventId>>,
    pub(crate) results: RefCell<BTreeMap<OwnedEventId, PduResult>>,
}

impl Batch {
    pub(crate) fn of(events: Vec<Pdu>, outliers: Vec<Pdu>) -> Self {
        let (fetched, sought, results) = Default::default();
        Self { events, outliers, fetched, sought, results }
    }

    /// What is missing, except what is itself on its way.
    pub(crate) fn missing(&self) -> BTreeSet<OwnedEventId> {
        let results = self.results.borrow();
        let missing = results.values().filter_map(|result| match result {
            PduResult::Missing(missing) => Some(missing),
            _ => None,
        });
        missing.flatten().filter(|event_id| !results.contains_key(*event_id)).cloned().collect()
    }
}
