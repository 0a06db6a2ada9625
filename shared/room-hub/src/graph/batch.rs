//! Events on their way into the room.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use ruma::OwnedEventId;
use tern_model::Pdu;
use tern_ports::wire::receive::PduResult;

use crate::graph::fetched::Fetched;

/// How often what is missing is looked for.
pub(crate) const SEARCHES: usize = 8;

/// Events on their way into the room, with what the turns have made of them.
pub(crate) struct Batch {
    /// Events without a result, then those that wait for others.
    pub(crate) open: RefCell<Vec<Pdu>>,
    /// Outliers that are not known yet.
    pub(crate) outliers: RefCell<Vec<Pdu>>,
    pub(crate) fetched: RefCell<Fetched>,
    /// Events that were looked for in the storage worker.
    pub(crate) sought: RefCell<BTreeSet<OwnedEventId>>,
    pub(crate) results: RefCell<BTreeMap<OwnedEventId, PduResult>>,
    /// The last turn came to its end before the events did.
    pub(crate) unfinished: Cell<bool>,
    /// Something became known that is no part of the timeline.
    pub(crate) set_aside: Cell<bool>,
    /// The events came through this server, which tells the others.
    pub(crate) passed_on: Cell<bool>,
}

impl Batch {
    pub(crate) fn of(events: Vec<Pdu>, outliers: Vec<Pdu>) -> Self {
        let (fetched, sought, results, unfinished, set_aside, passed_on) = Default::default();
        Self {
            open: RefCell::new(events),
            outliers: RefCell::new(outliers),
            fetched,
            sought,
            results,
            unfinished,
            set_aside,
            passed_on,
        }
    }

    /// The event that stands on none of the others.
    pub(crate) fn first(&self) -> Option<Pdu> {
        self.open.borrow().first().cloned()
    }

    /// The events that have no result yet, or wait.
    pub(crate) fn ids(&self) -> Vec<OwnedEventId> {
        self.open.borrow().iter().map(|pdu| pdu.id().to_owned()).collect()
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
