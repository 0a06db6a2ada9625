//! Feeding the storage worker from the journal, and trimming what it has.

use std::{cell::Cell, rc::Rc};

use tern_model::{Millis, RoomSeq};
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_storage,
    wire::{
        directory::FactsAsOf,
        storage::{AppendEvent, AppendEvents, Appended},
    },
};
use tern_room::{StateDelta, facts::affects};

use tern_object_kit::alarm::backed_off;

use crate::{RoomActor, timeline::head::Head};

/// Most events of one append, and most bytes of them.
const MOST_EVENTS: u32 = 100;
const MOST_BYTES: u64 = 512 * 1024;

/// Delays between attempts.
const RETRY: (u64, u64) = (1_000, 60_000);

/// Events kept here for quick reading after the storage worker has them.
const KEPT_EVENTS: u64 = 200;

/// Events younger than this are kept as well: a client may repeat a transaction.
const KEPT_MS: u64 = 15 * 60 * 1000;

/// Trimmed at once, at least and at most: each event costs three deleted rows, each resolution change one written row.
const TRIM: (u64, u64) = (100, 1_000);

/// How forwarding stands.
#[derive(Default)]
pub(crate) struct Forwarder {
    running: Cell<bool>,
    failures: Cell<u32>,
    not_before: Cell<Millis>,
}

/// Forwards; one at a time. Ends with the future it is in.
struct Running<H: ObjectHost>(Rc<RoomActor<H>>);

impl<H: ObjectHost> Drop for Running<H> {
    fn drop(&mut self) {
        self.0.forwarder.running.set(false);
    }
}

impl<H: ObjectHost> Running<H> {
    /// Forwards the journal until nothing is left or an attempt fails, then trims.
    async fn forward_all(self) {
        let actor = &self.0;
        while let Some(append) = actor.next_append() {
            if !actor.append(append).await {
                let failures = actor.forwarder.failures.get().saturating_add(1);
                actor.forwarder.failures.set(failures);
                actor.forwarder.not_before.set(backed_off(actor.host.now(), failures, RETRY));
                return;
            }
            actor.forwarder.failures.set(0);
        }
        // What stays for another time costs space, nothing else.
        actor.trim().ok();
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Starts to forward, unless somebody is at it or the last attempt has just failed.
    pub(crate) fn start_forwarding(self: &Rc<Self>) {
        let due = self.forward_due().is_some_and(|due| due <= self.host.now());
        if due && !self.forwarder.running.replace(true) {
            let running = Running(Rc::clone(self));
            self.host.spawn(Box::pin(running.forward_all()));
        }
    }

    /// When the journal is to be forwarded, if it is not empty.
    pub(crate) fn forward_due(&self) -> Option<Millis> {
        let head = self.head().ok().flatten()?;
        (head.forwarded < head.newest).then(|| self.forwarder.not_before.get())
    }

    fn next_append(&self) -> Option<AppendEvents> {
        let head = self.head().ok().flatten().filter(|head| head.forwarded < head.newest)?;
        let mut events = self.store().journal_within(head.forwarded, MOST_EVENTS, MOST_BYTES).ok()?;
        for entry in events.iter_mut().filter(|entry| entry.event.seq <= head.resolved) {
            entry.resolutions = self.store().resolutions_at(entry.event.seq).ok()?;
        }
        let resolutions = |entry: &AppendEvent| entry.resolutions.iter().any(|tx| affects(&tx.kind));
        let shows = events.iter().any(|event| {
            event.is_state && affects(&event.event.kind) || event.redaction.is_some() || resolutions(event)
        });
        // Facts that cannot be made do not hold the journal back: the next event that changes them tries again.
        let facts = shows.then(|| self.facts(&head).ok()).flatten();
        let facts = facts.map(|facts| FactsAsOf { as_of: head.newest, facts });
        Some(AppendEvents { room_id: self.room_id.clone(), room_version: head.version.id.to_owned(), events, facts })
    }

    /// Sends one append and moves the cursor; false when that led nowhere.
    async fn append(&self, append: AppendEvents) -> bool {
        let Ok(Appended { through }) = ask_storage(&*self.host, append).await else {
            return false;
        };
        let mut moved = false;
        self.move_cursor(|head| {
            moved = through > head.forwarded;
            if moved {
                head.forwarded = through.min(head.newest);
            } else if through >= head.tail {
                // It has less than it once said. All of that is still here: the next attempt starts there.
                head.forwarded = head.forwarded.min(through);
            }
        });
        moved
    }

    /// Removes old events that the storage worker has, many at once.
    fn trim(&self) -> Result<(), SqlError> {
        let Some(head) = self.head()? else { return Ok(()) };
        let Some(until) = self.trim_until(&head)? else { return Ok(()) };
        self.host
            .sql()
            .transaction(|| {
                self.leave_state_groups(&head, until)?;
                self.store().trim(head.tail, until)?;
                self.store().forget_passed_on(until)?;
                let tail_bytes = Some(self.store().bytes_after(until)?);
                let trimmed = Head { tail: until, tail_bytes, ..(*head).clone() };
                self.store().write_head(&trimmed)?;
                Ok::<_, SqlError>(trimmed)
            })
            .map(|trimmed| {
                self.cache.transactions.forget();
                self.adopt(trimmed);
            })
    }

    /// Up to where it is worth it.
    fn trim_until(&self, head: &Head) -> Result<Option<RoomSeq>, SqlError> {
        let (least, most) = TRIM;
        let stored = head.forwarded.min(head.announced);
        if let Some(until) = self.store().too_heavy(head)? {
            return Ok(Some(until.min(stored)).filter(|until| *until > head.tail));
        }
        let until = RoomSeq(head.newest.0.saturating_sub(KEPT_EVENTS).min(head.tail.0 + most)).min(stored);
        let enough = |until: &RoomSeq| until.0 >= head.tail.0 + least;
        if !enough(&until) {
            return Ok(None);
        }
        let young = Millis(self.host.now().0.saturating_sub(KEPT_MS));
        let first = self.store().first_since(head.tail, until, young)?;
        Ok(Some(first.map_or(until, RoomSeq::previous)).filter(enough))
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Keeps what forks need of the events up to `until`, and forgets what no fork needs.
    fn leave_state_groups(&self, head: &Head, until: RoomSeq) -> Result<(), SqlError> {
        let store = self.store();
        store.keep_state_history(head.tail, until)?;
        if head.former || head.extremities.len() > 1 {
            for event_id in &head.extremities {
                // Its row will be gone, and with it what tells that its state was the current-state log's.
                if let (None, Some(seq)) = (store.state_group(event_id.as_str())?, store.seq_of(event_id.as_str())?) {
                    let number = store.add_state_group(seq, &StateDelta::new())?;
                    store.put_state_group(event_id.as_str(), number, seq)?;
                }
            }
        }
        store.compact_state_groups(until, &head.extremities)?;
        store.compact_state_history(until, head.newest)
    }
}
