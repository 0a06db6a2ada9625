//! The children of a space.

use std::vec::IntoIter;

use tern_model::{Pdu, StoredEvent};
use tern_ports::{Sql, SqlError};

use crate::timeline::{
    store::{Store, all, event_columns},
    view::parsed,
};

/// Read at a time: an event has up to 64 KiB.
const PAGE: usize = 64;

impl<S: Sql> Store<'_, S> {
    fn children_after(self, state_key: &str) -> Result<Vec<StoredEvent>, SqlError> {
        const SQL: &str = concat!(
            "SELECT ",
            event_columns!(),
            " FROM state s JOIN events e ON e.seq = s.seq
             WHERE s.kind = 'm.space.child' AND s.state_key > ? ORDER BY s.state_key LIMIT 64"
        );
        all(self.0.query(SQL, &[state_key.into()])?)
    }
}

/// The `m.space.child` events of the current state, by state key, read page by page. What cannot be read is left out.
pub(crate) struct Children<'a, S: Sql> {
    store: Store<'a, S>,
    /// The next page begins after this state key, if there is one.
    after: Option<String>,
    page: IntoIter<StoredEvent>,
}

impl<'a, S: Sql> Children<'a, S> {
    pub(crate) fn of(store: Store<'a, S>) -> Self {
        Self { store, after: Some(String::new()), page: Vec::new().into_iter() }
    }
}

impl<S: Sql> Iterator for Children<'_, S> {
    type Item = Pdu;

    fn next(&mut self) -> Option<Pdu> {
        loop {
            if let Some(pdu) = self.page.by_ref().find_map(|event| parsed(&event).ok()) {
                return Some(pdu);
            }
            let page = self.store.children_after(&self.after.take()?).ok()?;
            self.after = page.last().filter(|_| page.len() == PAGE).and_then(|last| last.state_key.clone());
            self.page = page.into_iter();
        }
    }
}
