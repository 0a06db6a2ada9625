//! Events that the hub was not told of, counted late. A notice may be lost, and who was away for long is told only the
//! newest events; what lies between is fetched from the storage worker, or else from the room, page by page.

use std::{cell::Cell, rc::Rc};

use ruma::EventId;
use tern_model::{MatrixError, NoticeEvent, Pdu, RoomSeq, StoredEvent, news};
use tern_object_kit::duties::Outcome;
use tern_ports::{
    ObjectHost, WaitingPolls, ask_room, ask_storage,
    wire::{
        room::ReadSlice,
        storage::SyncRooms,
        sync::{SyncAsk, SyncRoom},
    },
};
use tern_push::{Event, Notification, Scope};
use tern_room::{power::Powers, unsigned, version::Version};
use tern_sync::is_bump;

use super::{
    UserActor,
    counting::{Place, arrive, counts, discount, thread},
    ignored::is_unheard,
    store::{
        rooms::RoomRow,
        unread::{self, Missed, PackedNotification},
    },
    transaction::Transaction,
};

/// Type of redactions.
const REDACTION: &str = "m.room.redaction";
/// Events fetched at a time.
const PAGE: u32 = 100;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Counts all there is to be counted, or `pages` of it. One at a time; what fails is left for the alarm.
    pub(super) async fn count_missed(self: &Rc<Self>, pages: usize) -> Outcome {
        if self.counting.replace(true) {
            return Outcome::Done;
        }
        let _guard = Counting(&self.counting);
        for _ in 0..pages {
            let missed = match unread::missed(self.host.sql()) {
                Ok(Some(missed)) => missed,
                Ok(None) => return Outcome::Done,
                Err(_) => return Outcome::Failed,
            };
            let Ok(page) = self.fetch(&missed).await else { return Outcome::Failed };
            // The room may have been left while the page was fetched: then the range is gone, and the page is nobody's.
            let taken = self.change(|tx| match unread::missed(tx.sql)? {
                Some(still) if still == missed => self.take_page(tx, &missed, &page),
                _ => Ok(()),
            });
            self.answer_waiting();
            if taken.is_err() {
                return Outcome::Failed;
            }
        }
        Outcome::Done
    }

    /// The newest page of a missed range, with the state that tells who may notify the room.
    async fn fetch(&self, missed: &Missed) -> Result<SyncRoom, MatrixError> {
        let state = ["m.room.create", "m.room.power_levels"].map(|kind| (kind.to_owned(), String::new()));
        let ask = SyncAsk {
            room_id: missed.room_id.clone(),
            user_id: self.user_id.clone(),
            after: None,
            until: Some(missed.last),
            limit: PAGE,
            state: state.into(),
            lazy: false,
            members: Vec::new(),
            replaced: false,
        };
        let stored = ask_storage(&*self.host, SyncRooms { rooms: vec![ask.clone()] }).await;
        match stored.ok().and_then(|mut rooms| rooms.pop()).filter(|room| reaches(room, missed.last)) {
            Some(room) => Ok(room),
            None => ask_room(&*self.host, &missed.room_id, ReadSlice { ask }).await,
        }
    }

    fn take_page(&self, tx: &Transaction<'_, H::Sql>, missed: &Missed, page: &SyncRoom) -> Result<(), MatrixError> {
        unread::drop_missed(tx.sql, missed)?;
        let Some(mut row) = self.room_row(&missed.room_id)? else { return Ok(()) };
        let before = row.clone();
        let within: Vec<&StoredEvent> = page.timeline.iter().filter(|event| event.seq >= missed.first).collect();
        self.count_page(tx, &mut row, page, &within)?;
        if let Some(first) = within.first().map(|event| event.seq).filter(|first| *first > missed.first) {
            unread::note_missed(tx.sql, &Missed { last: first.previous(), ..missed.clone() })?;
        }
        self.note_unread(Some(&before), &row);
        if (&row.unread_counts, row.bump) != (&before.unread_counts, before.bump) {
            row.pos = tx.advance(news::ROOMS);
        }
        self.rooms.borrow_mut().changed(&row.room_id);
        Ok(self.write_room(tx, &row)?)
    }

    fn count_page(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        page: &SyncRoom,
        events: &[&StoredEvent],
    ) -> Result<(), MatrixError> {
        let version = self.room_version(&row.room_id)?;
        let powers = powers(version, page);
        let facts = self.facts(&row.room_id)?;
        let ignored = self.ignored()?;
        let (room_id, mut notifications) = (row.room_id.clone(), Vec::new());
        let place = Place::of(&room_id, &facts);
        // The newest first: what the user had read when they wrote an event is known before what was there to be read.
        for stored in events.iter().rev().filter(|event| self.may_see(&page.facts, event)) {
            let Some(event) = self.client_form(version, stored) else { continue };
            let event = NoticeEvent {
                pings_room: powers.as_ref().is_some_and(|powers| powers.may_notify_room(&event.sender)),
                ..event
            };
            // The room's place among the others is that of the newest message, which may be among what was missed.
            if is_bump(&event.kind) && !is_unheard(&ignored, &event) {
                row.bump = row.bump.max(event.ts);
            }
            // A redaction counts although it was redacted itself.
            let kept = stored.unsigned.as_ref().filter(|_| stored.kind == REDACTION).and_then(unsigned::kept_target);
            if let Some(target) = kept {
                discount(tx.sql, row, &target)?;
            }
            if let Some(packed) = self.count_late(tx, row, &place, &event)? {
                notifications.push(packed);
            }
        }
        notifications.reverse();
        row.packed |= !notifications.is_empty();
        Ok(unread::pack_notifications(tx.sql, &room_id, notifications)?)
    }

    fn count_late(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        place: &Place<'_>,
        event: &NoticeEvent,
    ) -> Result<Option<PackedNotification>, MatrixError> {
        let read = Event::read(&event.client);
        if let Some(target) = read.redacts().and_then(|target| <&EventId>::try_from(target).ok()) {
            discount(tx.sql, row, target)?;
        }
        let thread = thread(tx.sql, &row.room_id, &read)?;
        if event.sender == self.user_id {
            if event.state_key.is_none() && !read.is_redacted() {
                arrive(tx.sql, row, Scope::Thread(thread.as_deref()), event.seq)?;
            }
            return Ok(None);
        }
        let notifies = self.evaluate_event(place, event, &read, thread.as_deref())?;
        let Some(highlight) = notifies.filter(|_| counts(row, event.seq)) else {
            return Ok(None);
        };
        let thread = row.unread_counts.counted_in(thread);
        let notification = Notification { seq: event.seq, highlight, thread };
        let unread = row.unread_counts.add(&notification);
        Ok(unread.then(|| PackedNotification::new(notification, event.event_id.as_str())))
    }
}

/// Whoever answers has the events up to `last`.
fn reaches(room: &SyncRoom, last: RoomSeq) -> bool {
    room.through >= last && room.timeline.last().is_some_and(|event| event.seq >= last)
}

fn powers(version: &'static Version, page: &SyncRoom) -> Option<Powers> {
    let state = |kind: &str| {
        let event = page.state.iter().rfind(|event| event.kind == kind)?;
        Pdu::parse(event.event_id.clone(), event.pdu.clone()).ok()
    };
    Powers::of_state(version, state("m.room.create")?, state("m.room.power_levels")).ok()
}

struct Counting<'a>(&'a Cell<bool>);

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
