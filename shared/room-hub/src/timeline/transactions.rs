//! Transaction ids: a request that is repeated is answered with the event that it made (Client-Server API, "Transaction
//! identifiers"), for as long as that is in the hot tail. The tail's ids are in memory, read once in a life: an index of
//! them would be a written row for each message.

use std::{cell::RefCell, collections::BTreeMap};

use ruma::OwnedEventId;
use tern_model::{RoomSeq, TxnRef};
use tern_object_kit::schema::Step;
use tern_ports::{Sql, SqlError};

use super::store::{Store, event_id_of};

/// The index that did this before.
pub(crate) const IN_MEMORY: Step = &["DROP INDEX events_by_txn"];

/// Sender, device, transaction and type of the event.
type Request = (String, String, String, String);

fn request(sender: &str, txn: &TxnRef, kind: &str) -> Request {
    (sender.to_owned(), txn.device_id.to_string(), txn.txn_id.clone(), kind.to_owned())
}

/// The events that requests have made.
#[derive(Default)]
pub(crate) struct Transactions {
    /// Those of the tail; nothing until they are read.
    committed: RefCell<Option<BTreeMap<Request, OwnedEventId>>>,
}

/// Those of a turn.
#[derive(Default)]
pub(crate) struct TurnTransactions(RefCell<BTreeMap<Request, OwnedEventId>>);

impl TurnTransactions {
    /// An event was appended.
    pub(crate) fn note(&self, sender: &str, txn: &TxnRef, kind: &str, event_id: OwnedEventId) {
        self.0.borrow_mut().insert(request(sender, txn, kind), event_id);
    }

    /// The event of a request, made by this turn or, between `tail` and `newest`, by an earlier one.
    pub(crate) fn find(
        &self,
        store: Store<'_, impl Sql>,
        known: &Transactions,
        (tail, newest): (RoomSeq, RoomSeq),
        (sender, txn, kind): (&str, &TxnRef, &str),
    ) -> Result<Option<OwnedEventId>, SqlError> {
        let request = request(sender, txn, kind);
        if let Some(event_id) = self.0.borrow().get(&request) {
            return Ok(Some(event_id.clone()));
        }
        let mut committed = known.committed.borrow_mut();
        let all = match committed.take() {
            Some(all) => all,
            None => store.transactions(tail, newest)?,
        };
        Ok(committed.insert(all).get(&request).cloned())
    }
}

impl Transactions {
    /// A turn was committed.
    pub(crate) fn commit(&self, turn: TurnTransactions) {
        if let Some(committed) = &mut *self.committed.borrow_mut() {
            committed.append(&mut turn.0.into_inner());
        }
    }

    /// The tail was cut.
    pub(crate) fn forget(&self) {
        self.committed.take();
    }
}

impl<S: Sql> Store<'_, S> {
    /// The requests that made the events in `(after, until]`.
    fn transactions(self, after: RoomSeq, until: RoomSeq) -> Result<BTreeMap<Request, OwnedEventId>, SqlError> {
        let rows = self.0.query(
            "SELECT event_id, sender, device_id, txn_id, kind FROM events WHERE seq > ? AND seq <= ? AND txn_id IS NOT NULL",
            &[after.0.into(), until.0.into()],
        )?;
        let text = |row: &tern_ports::Row, index| row.string(index).unwrap_or_default();
        let entry = |row| Ok(((text(row, 1), text(row, 2), text(row, 3), text(row, 4)), event_id_of(row, 0)?));
        rows.iter().map(entry).collect()
    }
}
