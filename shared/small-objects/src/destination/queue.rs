//! What the server is to be told of: rooms' hubs say so, and it stays until the server has it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use ruma::OwnedRoomId;
use tern_model::{MatrixError, Millis, RoomSeq};
use tern_ports::{
    ObjectHost, SqlError,
    wire::{
        Done,
        destination::{DestinationProbe, EnqueueEvents, MOST_PROBED},
    },
};

use super::{
    DestinationActor,
    schema::SCHEMA,
    store::{Lane, Part, QueueRow, Store, Transaction},
    transaction::Prepared,
};

/// Positions that a service is sent without a row of their own.
const AT_ONCE: u64 = 20;
/// Sending starts with the reply; the alarm looks after it this much later.
const LEFTOVERS_MS: u64 = 15_000;

/// What is remembered of the queue.
#[derive(Default)]
pub(super) struct Queue {
    /// The row, once it was read and as long as there is one.
    row: RefCell<Option<QueueRow>>,
    /// Up to where rooms have told, in this life.
    told: RefCell<BTreeMap<OwnedRoomId, RoomSeq>>,
    /// The transaction in flight, with what is in it.
    pub(super) prepared: RefCell<Option<Prepared>>,
    pub(super) running: Cell<bool>,
    /// The last room in a transaction that had no place for more: the next one begins after it.
    pub(super) turn: RefCell<Option<OwnedRoomId>>,
    /// A room's hub could not be asked.
    pub(super) hub_failures: Cell<u32>,
    /// When a transaction was last sent in this life, and the status of the answer, if there was one.
    pub(super) tried: Cell<Option<(Millis, Option<u16>)>>,
}

impl Queue {
    /// A room has told of this position, at least.
    fn tell(&self, room_id: &OwnedRoomId, until: RoomSeq) {
        let mut told = self.told.borrow_mut();
        let known = told.entry(room_id.clone()).or_default();
        *known = until.max(*known);
    }

    /// Up to where a room has told in this life.
    pub(super) fn told(&self, room_id: &OwnedRoomId) -> RoomSeq {
        self.told.borrow().get(room_id).copied().unwrap_or_default()
    }
}

impl<H: ObjectHost> DestinationActor<H> {
    pub(super) fn store(&self) -> Store<'_, H::Sql> {
        Store(self.host.sql())
    }

    /// Remembers durably what a room says that the server is to be sent, and begins to send it.
    pub(super) async fn enqueue(self: &Rc<Self>, ask: EnqueueEvents) -> Result<Done, MatrixError> {
        if !self.is_met() {
            if self.service.is_some() {
                self.forget()?;
            }
            return Ok(Done {});
        }
        self.open_queue()?;
        let EnqueueEvents { room_id, from, until } = ask;
        self.queue.tell(&room_id, until);
        let known = self.store().lane(&room_id)?;
        let flying = self.flying(&room_id)?;
        if let Some(lane) = known.as_ref().filter(|lane| until >= lane.next)
            && self.takes_at_once(lane, until)?
        {
            let part = Part { room_id, from: from.max(lane.next), through: until };
            self.begin_transaction(Transaction { parts: vec![part], ..Transaction::default() })?;
            self.look_after().await?;
            return Ok(Done {});
        }
        let lane = match known {
            _ if flying.is_some_and(|through| until <= through) => None,
            // It is sent all there is when its turn comes.
            Some(lane) if lane.is_pending() => None,
            Some(lane) if until < lane.next => None,
            // It is beyond what is in flight when that was taken, and not before.
            Some(lane) if flying.is_some() => Some(Lane { last: until, ..lane }),
            Some(lane) => Some(Lane { next: from.max(lane.next), last: until, ..lane }),
            None => Some(Lane { room_id, next: from, last: until }),
        };
        if let Some(lane) = lane {
            self.store().put_lane(&lane)?;
            self.look_after().await?;
        } else {
            self.start_sending();
        }
        Ok(Done {})
    }

    /// Makes the row, unless there is one.
    pub(super) fn open_queue(&self) -> Result<(), SqlError> {
        if self.queue_row()?.is_some() {
            return Ok(());
        }
        SCHEMA.create(self.host.sql())?;
        self.write_queue(QueueRow::born(self.host.now()))
    }

    /// Something was written that waits: it is sent, and the alarm sees to it that it was.
    pub(super) async fn look_after(self: &Rc<Self>) -> Result<(), SqlError> {
        // A server that is left alone is looked after already.
        let due = self.progress()?.back_off.until.max(self.host.now().plus(LEFTOVERS_MS));
        self.alarm.set(&*self.host, due).await;
        self.host.synced().await;
        self.start_sending();
        Ok(())
    }

    /// Up to where the transaction in flight has a room.
    fn flying(&self, room_id: &OwnedRoomId) -> Result<Option<RoomSeq>, SqlError> {
        let parts = self.queue_row()?.and_then(|row| row.txn).map(|txn| txn.parts).unwrap_or_default();
        Ok(parts.iter().find(|part| part.room_id == *room_id).map(|part| part.through))
    }

    /// Nothing else waits for a service that is well: what is told is the next transaction, of which one row tells all.
    fn takes_at_once(&self, lane: &Lane, until: RoomSeq) -> Result<bool, SqlError> {
        let idle = self.service.is_some() && !lane.is_pending() && until.0 - lane.next.0 < AT_ONCE;
        let Some(row) = self.queue_row()?.filter(|row| idle && row.txn.is_none()) else { return Ok(false) };
        Ok(row.progress.back_off.allows(self.host.now()) && self.store().pending(1)?.is_empty())
    }

    /// Remembers durably what the next transaction is.
    pub(super) fn begin_transaction(&self, content: Transaction) -> Result<Transaction, SqlError> {
        let mut row = self.queue_row()?.unwrap_or_else(|| QueueRow::born(self.host.now()));
        row.counter += 1;
        let transaction = Transaction { id: row.newest_id(), ..content };
        row.txn = Some(transaction.clone());
        self.write_queue(row)?;
        Ok(transaction)
    }

    /// The server is there: what waits for it is sent now.
    pub(super) fn wake(self: &Rc<Self>) -> Result<Done, MatrixError> {
        self.back_off.set(self.back_off.get().woken());
        if let Some(mut row) = self.queue_row()? {
            row.progress.back_off = row.progress.back_off.woken();
            self.queue.row.replace(Some(row));
            self.start_sending();
        }
        Ok(Done {})
    }

    /// How the server is and what waits for it.
    pub(super) fn probe(&self) -> Result<DestinationProbe, MatrixError> {
        let Some(row) = self.queue_row()? else { return Ok(DestinationProbe::default()) };
        let lanes = self.store().pending(MOST_PROBED)?;
        let waits = |lane: &Lane| {
            let last = lane.last.max(self.queue.told(&lane.room_id));
            last.0.saturating_sub(lane.next.0) + 1
        };
        Ok(DestinationProbe {
            failures: row.progress.back_off.failures,
            retry_at: row.progress.back_off.until,
            rooms: lanes.len() as u64,
            positions: lanes.iter().map(waits).sum(),
            sending: row.txn.is_some(),
            refused: row.given_up,
            to_device: self.store().loads(None)?.1.messages,
            transaction: self.service.as_ref().filter(|_| row.counter > 0).map(|_| row.newest_id()),
            tried_at: self.queue.tried.get().filter(|_| self.service.is_some()).map(|(at, _)| at),
            status: self.queue.tried.get().filter(|_| self.service.is_some()).and_then(|(_, status)| status),
        })
    }

    /// Called when the alarm is due: takes up what was left, and asks for the next alarm. It never fails, since the platform
    /// gives up one that does.
    pub async fn alarm(self: &Rc<Self>) {
        self.alarm.rang();
        match self.next_due() {
            Ok(Some(at)) => {
                self.alarm.set(&*self.host, at).await;
                self.start_sending();
                self.tell_watchers().await;
            }
            Ok(None) => {}
            Err(_) => self.alarm.set(&*self.host, self.host.now().plus(LEFTOVERS_MS)).await,
        }
    }

    /// When what waits is to be looked after, if anything does.
    fn next_due(&self) -> Result<Option<Millis>, SqlError> {
        let telling = self.watchers_due()?;
        let Some(row) = self.queue_row()? else { return Ok(telling) };
        if self.service.is_some() && !self.is_met() {
            self.forget()?;
            return Ok(None);
        }
        let store = self.store();
        let waits = row.txn.is_some()
            || !store.pending(1)?.is_empty()
            || !store.messages(1)?.is_empty()
            || !store.device_changes(1)?.is_empty();
        let soon = self.host.now().plus(LEFTOVERS_MS);
        let sending = waits.then(|| row.progress.back_off.until.max(soon));
        Ok(sending.into_iter().chain(telling).min())
    }

    /// The row; none in an object that was never told of anything.
    pub(super) fn queue_row(&self) -> Result<Option<QueueRow>, SqlError> {
        if let Some(row) = &*self.queue.row.borrow() {
            return Ok(Some(row.clone()));
        }
        if !SCHEMA.renew(self.host.sql())? {
            return Ok(None);
        }
        let mut row = self.store().queue()?;
        if let Some(row) = &mut row {
            // What a service has taken is told by its lanes alone.
            if let Some(txn) = row.txn.take_if(|_| self.service.is_some()) {
                row.txn = if self.is_taken(&txn)? { None } else { Some(txn) };
            }
            self.back_off.set(row.progress.back_off);
        }
        self.queue.row.replace(row.clone());
        Ok(row)
    }

    /// What was begun without a row of its room waits in it.
    pub(super) fn take_back(&self, part: &Part) -> Result<(), SqlError> {
        match self.store().lane(&part.room_id)? {
            Some(lane) if !lane.is_pending() => self.store().put_lane(&Lane { last: part.through, ..lane }),
            _ => Ok(()),
        }
    }

    /// All lanes are beyond a transaction.
    fn is_taken(&self, txn: &Transaction) -> Result<bool, SqlError> {
        for part in &txn.parts {
            if self.store().lane(&part.room_id)?.is_some_and(|lane| lane.next <= part.through) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn progress(&self) -> Result<tern_federation::queue::Progress, SqlError> {
        Ok(self.queue_row()?.map(|row| row.progress).unwrap_or_default())
    }

    pub(super) fn write_queue(&self, row: QueueRow) -> Result<(), SqlError> {
        self.store().put_queue(&row)?;
        self.remember_queue(row);
        Ok(())
    }

    /// Takes over the row as it was committed.
    pub(super) fn remember_queue(&self, row: QueueRow) {
        self.queue.row.replace(Some(row));
    }
}
