//! One change of the hub: everything in one transaction, one new position per changed thing, wakes after the commit.

use std::cell::{Cell, RefCell};

use ruma::{DeviceId, OwnedDeviceId};
use tern_model::{MatrixError, Millis, StreamPos, news};
use tern_ports::{ObjectHost, Sql, WaitingPolls};

use super::{
    UserActor,
    store::{
        hub::Hub,
        rooms::{Figures, Pushes, pushes},
    },
};

/// A change under way.
pub(super) struct Transaction<'a, S> {
    pub(super) sql: &'a S,
    hub: Cell<Hub>,
    /// The newest positions at which rooms and receipts moved, as far as their own rows say so.
    told: Cell<(StreamPos, StreamPos)>,
    /// What an event says of pushes.
    pushes: Cell<Option<Pushes>>,
    /// The hub's row has to be written.
    listed: Cell<bool>,
    wakes: RefCell<Vec<(Option<OwnedDeviceId>, u32)>>,
}

impl<'a, S: Sql> Transaction<'a, S> {
    fn new(sql: &'a S, hub: Hub) -> Self {
        Self {
            sql,
            hub: Cell::new(hub),
            told: Cell::default(),
            pushes: Cell::default(),
            listed: Cell::default(),
            wakes: RefCell::default(),
        }
    }

    /// The row of a recent room, or of its newest event, says that it moved at `pos`.
    pub(super) fn rooms_told(&self, pos: StreamPos) {
        let (rooms, receipts) = self.told.get();
        self.told.set((rooms.max(pos), receipts));
    }

    /// The row of a receipt says that it came at `pos`.
    pub(super) fn receipts_told(&self, pos: StreamPos) {
        let (rooms, receipts) = self.told.get();
        self.told.set((rooms, receipts.max(pos)));
    }

    /// The newest event of a recent room says from where on events may not have been pushed.
    pub(super) fn pushes_told(&self, figures: Figures) {
        self.pushes.set(Some(pushes(figures)));
    }

    /// The hub as the change has made it so far.
    pub(super) fn hub(&self) -> Hub {
        self.hub.get()
    }

    /// Another room may be ahead of its row.
    pub(super) fn list(&self) {
        self.listed.set(true);
    }

    /// Whether something moved that a hub which wakes could not tell from other rows.
    fn must_write_hub(&self, before: Hub) -> bool {
        let (rooms, receipts) = self.told.get();
        let (rooms, receipts) = (before.rooms.max(rooms), before.receipts.max(receipts));
        let position = before.position.max(rooms).max(receipts);
        // As it would be read: of two at the same time, the row is believed.
        let told = self.pushes.get().filter(|(at, _)| *at > before.push_at);
        let (push_at, push_from) = told.unwrap_or((before.push_at, before.push_from));
        self.listed.get() || self.hub.get() != Hub { position, rooms, receipts, push_from, push_at, ..before }
    }

    /// The position of the next changed thing. Every waiting poll that waits for one of `kinds` is woken.
    pub(super) fn advance(&self, kinds: u32) -> StreamPos {
        self.wakes.borrow_mut().push((None, kinds));
        self.step(kinds)
    }

    /// As [`Self::advance`], for news of one device.
    pub(super) fn advance_device(&self, device_id: &DeviceId, kinds: u32) -> StreamPos {
        self.wake_device(device_id, kinds);
        self.step(kinds)
    }

    /// The key counts of a device changed. Only classic sync, whose every answer has them, is woken by that alone; `also`
    /// wakes others. (With sliding sync a device hears of them with the next answer it gets anyway.)
    pub(super) fn advance_key_counts(&self, device_id: &DeviceId, also: u32) -> StreamPos {
        self.wake_device(device_id, news::KEY_COUNTS | also);
        self.step(news::E2EE)
    }

    /// As [`Self::advance`], for what a device need not hear of before the next answer it gets anyway.
    pub(super) fn advance_quietly(&self, kinds: u32) -> StreamPos {
        self.step(kinds)
    }

    /// Wakes the polls of a device, without a new position.
    pub(super) fn wake_device(&self, device_id: &DeviceId, kinds: u32) {
        self.wakes.borrow_mut().push((Some(device_id.to_owned()), kinds));
    }

    /// Lists may have changed at `pos`.
    pub(super) fn relist(&self, pos: StreamPos) {
        self.hub.set(Hub { relisted: pos, ..self.hub.get() });
    }

    /// No event is sticky any more.
    pub(super) fn forget_sticky(&self) {
        self.hub.set(Hub { sticky: StreamPos(0), ..self.hub.get() });
    }

    /// So many pushers are enabled.
    pub(super) fn set_pushers(&self, pushers: u64) {
        self.hub.set(Hub { pushers, ..self.hub.get() });
    }

    /// An event at `pos` has to be handed over to pushers; with `settled` all before it was.
    pub(super) fn note_push(&self, pos: StreamPos, now: Millis, settled: bool) {
        let hub = self.hub.get();
        let pending = hub.push_from > StreamPos(0) && !settled;
        let push_from = if pending { hub.push_from.min(pos) } else { pos };
        self.hub.set(Hub { push_from, push_at: now, ..hub });
    }

    /// There is such a user.
    pub(super) fn open(&self) {
        self.hub.set(Hub { opened: true, ..self.hub.get() });
    }

    fn step(&self, kinds: u32) -> StreamPos {
        let mut hub = self.hub.get();
        hub.position = hub.position.next();
        let kinds_of_news = [
            (news::ROOMS, &mut hub.rooms),
            (news::TO_DEVICE, &mut hub.to_device),
            (news::E2EE, &mut hub.e2ee),
            (news::ACCOUNT_DATA, &mut hub.account_data),
            (news::RECEIPTS, &mut hub.receipts),
            (news::THREADS, &mut hub.threads),
            (news::STICKY, &mut hub.sticky),
        ];
        for (kind, newest) in kinds_of_news {
            if kinds & kind != 0 {
                *newest = hub.position;
            }
        }
        self.hub.set(hub);
        hub.position
    }
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Runs one change. Positions become known, and polls wake, only when all of it was written.
    pub(super) fn change<T>(
        &self,
        work: impl FnOnce(&Transaction<'_, H::Sql>) -> Result<T, MatrixError>,
    ) -> Result<T, MatrixError> {
        let before = self.hub.get();
        let tx = Transaction::new(self.host.sql(), before);
        let value = tx.sql.transaction(|| {
            let value = work(&tx)?;
            if tx.must_write_hub(before) {
                self.write_hub(tx.sql, &tx.hub.get())?;
            }
            Ok::<_, MatrixError>(value)
        });
        let value = value.inspect_err(|_| {
            // What was read on the way may have been undone.
            self.rooms.take();
            self.recent.take();
            self.push_evaluator.take();
            self.ignored.take();
            self.invite_rules.take();
            self.met.take();
        })?;
        self.hub.set(tx.hub.get());
        for (device_id, kinds) in tx.wakes.take() {
            if let Some(device_id) = device_id.as_ref().filter(|_| kinds & news::KEY_COUNTS != 0) {
                self.key_counts_at.borrow_mut().insert(device_id.clone(), self.hub.get().position);
            }
            self.announce(device_id, kinds);
        }
        Ok(value)
    }
}
