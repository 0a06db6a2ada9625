//! Counting what is unread: push rules are evaluated once for each event, here, and the notification they give is all
//! that counts and pushes go by (Client-Server API, "Push Rules: Server behaviour").
//!
//! Sums are kept while events come and receipts move; a sync reads them and never counts. What a receipt passes over is
//! found by a range scan of notifications.

use std::rc::Rc;

use ruma::{EventId, RoomId};
use serde_json::Value;
use tern_model::{MatrixError, NoticeEvent, RawJson, Receipt, RoomSeq};
use tern_ports::{ObjectHost, Sql, SqlError, WaitingPolls};
use tern_push::{Context, Evaluator, Event, Notification, Scope, UnreadCounts, tweaks};
use tern_sync::Membership;

use super::{
    UserActor,
    member::is_member_event_of,
    store::{
        facts::Facts,
        inbox::{self, Filed},
        rooms::RoomRow,
        unread::{self, Missed, PackedNotification},
    },
    transaction::Transaction,
};

/// What decides about an event, beside the event and its room.
pub(super) struct PushEvaluator {
    evaluator: Evaluator,
}

/// What rules ask of the room.
pub(super) struct Place<'a> {
    pub(super) room_id: &'a RoomId,
    pub(super) own_name: Option<Rc<str>>,
    pub(super) members: u64,
}

impl<'a> Place<'a> {
    pub(super) fn of(room_id: &'a RoomId, facts: &Facts) -> Self {
        let members = facts.summary.as_ref().map_or(0, |summary| summary.joined);
        Self { room_id, own_name: facts.own_name.clone(), members }
    }
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The rules, read once.
    pub(super) fn push_evaluator(&self) -> Result<Rc<PushEvaluator>, MatrixError> {
        if let Some(push_evaluator) = &*self.push_evaluator.borrow() {
            return Ok(Rc::clone(push_evaluator));
        }
        let evaluator = Evaluator::new(&self.user_id, &self.push_rules()?);
        let push_evaluator = Rc::new(PushEvaluator { evaluator });
        self.push_evaluator.replace(Some(Rc::clone(&push_evaluator)));
        Ok(push_evaluator)
    }

    /// Counts an event that has just come, and says what is to be filed with it.
    pub(super) fn count(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        place: &Place<'_>,
        event: &NoticeEvent,
    ) -> Result<Filed, MatrixError> {
        let read = Event::read(&event.client);
        let thread = thread(tx.sql, &row.room_id, &read)?;
        if event.sender == self.user_id {
            // State is also sent on a user's behalf, and says nothing of what they saw; of a redacted event it is no longer
            // known in which thread it was.
            if event.state_key.is_none() && !read.is_redacted() {
                arrive(tx.sql, row, Scope::Thread(thread.as_deref()), event.seq)?;
            }
            return Ok(Filed { thread, highlights: None, figures: None });
        }
        let notifies = self.evaluate_event(place, event, &read, thread.as_deref())?;
        let counted = notifies.filter(|_| counts(row, event.seq));
        if let Some(highlight) = counted {
            let thread = row.unread_counts.counted_in(thread);
            row.unread_counts.add(&Notification { seq: event.seq, highlight, thread: thread.clone() });
            return Ok(Filed { thread, highlights: counted, figures: None });
        }
        // An invite counts by being one; pushers hear of it all the same.
        let invites = row.membership == Membership::Invite && is_member_event_of(event, &self.user_id);
        Ok(Filed { thread, highlights: notifies.filter(|_| invites), figures: None })
    }

    /// Whether the event, of this thread if any, notifies, and if so, whether it highlights.
    pub(super) fn evaluate_event(
        &self,
        place: &Place<'_>,
        event: &NoticeEvent,
        read: &Event<'_>,
        thread: Option<&str>,
    ) -> Result<Option<bool>, MatrixError> {
        if self.ignored()?.contains(&event.sender) || self.is_disallowed(event)? {
            return Ok(None);
        }
        let push_evaluator = self.push_evaluator()?;
        let context = self.context(place, event, thread)?;
        let verdict = push_evaluator.evaluator.evaluate(read, &context);
        Ok(verdict.filter(|verdict| verdict.notify).map(|verdict| verdict.highlight))
    }

    /// The tweaks of the rule that the event meets.
    pub(super) fn tweaks_of(
        &self,
        place: &Place<'_>,
        event: &NoticeEvent,
        thread: Option<&str>,
    ) -> Result<Vec<(String, Value)>, MatrixError> {
        let push_evaluator = self.push_evaluator()?;
        let (read, context) = (Event::read(&event.client), self.context(place, event, thread)?);
        let actions = push_evaluator.evaluator.evaluate(&read, &context).map(|verdict| verdict.actions.as_slice());
        // A tweak without a value is true.
        let value = |value: Option<RawJson>| value.and_then(|value| value.read().ok()).unwrap_or(Value::Bool(true));
        Ok(tweaks(actions.unwrap_or_default()).map(|(name, of)| (name, value(of))).collect())
    }

    fn context<'a>(
        &self,
        place: &'a Place<'_>,
        event: &NoticeEvent,
        thread: Option<&str>,
    ) -> Result<Context<'a>, MatrixError> {
        Ok(Context {
            room_id: place.room_id,
            display_name: place.own_name.as_deref(),
            members: place.members,
            pings_room: event.pings_room,
            subscribed: self.follows(place.room_id, thread)?,
        })
    }

    /// The user entered or left the room, or missed something of it: what counts begins anew, or is noted to be fetched.
    pub(super) fn begin_counting(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        before: &RoomRow,
        first: RoomSeq,
    ) -> Result<(), MatrixError> {
        let stays = before.membership == Membership::Join && row.membership == Membership::Join;
        if !stays || row.joined != before.joined {
            row.unread_counts = UnreadCounts::starting_at(row.joined);
            row.packed = false;
            if before.packed || before.membership == Membership::Join {
                unread::delete_room(tx.sql, &row.room_id)?;
            }
        }
        let missed = before.newest.next().max(row.joined.next());
        if row.membership == Membership::Join && before.newest > RoomSeq(0) && missed < first {
            let missed = Missed { room_id: row.room_id.clone(), first: missed, last: first.previous() };
            unread::note_missed(tx.sql, &missed)?;
            self.behind.set(true);
        }
        Ok(())
    }

    /// The user's own receipt was moved. True when the counts changed by it.
    pub(super) fn read_up_to(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        receipt: &Receipt,
    ) -> Result<bool, MatrixError> {
        let Some(seq) = receipt.seq.filter(|_| receipt.user_id == self.user_id) else { return Ok(false) };
        let before = row.unread_counts.total();
        arrive(tx.sql, row, Scope::of(receipt.thread_id.as_deref()), seq)?;
        Ok(row.unread_counts.total() != before)
    }
}

/// Events of a room the user is in count from their join on.
pub(super) fn counts(row: &RoomRow, seq: RoomSeq) -> bool {
    row.membership == Membership::Join && seq > row.joined
}

/// The root of the thread an event is in, by what it relates to if need be. What that is in was found out when it came,
/// so one step is enough for any number of hops.
pub(super) fn thread(sql: &impl Sql, room_id: &RoomId, event: &Event<'_>) -> Result<Option<String>, SqlError> {
    match (event.thread(), event.relates_to()) {
        (Some(root), _) => Ok(Some(root.to_owned())),
        (None, Some(parent)) => inbox::thread_of(sql, room_id, parent),
        (None, None) => Ok(None),
    }
}

/// The user has read up to `seq`.
pub(super) fn arrive(sql: &impl Sql, row: &mut RoomRow, scope: Scope<'_>, seq: RoomSeq) -> Result<(), SqlError> {
    match row.unread_counts.passes(scope, seq) {
        None => row.unread_counts.read(scope, seq, []),
        Some(_) if seq >= row.newest => row.unread_counts.read_all(scope, seq),
        Some(from) => {
            let mut passed: Vec<Notification> =
                inbox::notifications(sql, row, from, seq)?.into_iter().map(|(notification, _)| notification).collect();
            if row.packed {
                let packs = unread::packs(sql, &row.room_id, seq)?;
                passed.extend(packs.into_iter().flat_map(|pack| pack.notifications).map(|packed| packed.notification));
            }
            row.unread_counts.read(scope, seq, &passed);
        }
    }
    if row.packed { sift(sql, row, seq) } else { Ok(()) }
}

/// Drops packed notifications up to `seq` that are read by now.
fn sift(sql: &impl Sql, row: &mut RoomRow, seq: RoomSeq) -> Result<(), SqlError> {
    for mut pack in unread::packs(sql, &row.room_id, seq)? {
        let held = pack.notifications.len();
        pack.notifications.retain(|packed| row.unread_counts.is_unread(&packed.notification));
        if pack.notifications.len() < held {
            unread::write(sql, &row.room_id, &pack)?;
        }
    }
    row.packed = unread::has_packs(sql, &row.room_id)?;
    Ok(())
}

/// Packs what is unread of events before `from`, which are about to leave the inbox.
pub(super) fn pack_before(sql: &impl Sql, row: &mut RoomRow, from: RoomSeq) -> Result<(), SqlError> {
    if !row.unread_counts.is_clear() {
        let notifications = inbox::notifications(sql, row, row.unread_counts.read, from.previous())?;
        let unread = notifications.into_iter().filter(|(notification, _)| row.unread_counts.is_unread(notification));
        let unread: Vec<_> =
            unread.map(|(notification, event_id)| PackedNotification::new(notification, &event_id)).collect();
        row.packed |= !unread.is_empty();
        unread::pack_notifications(sql, &row.room_id, unread)?;
    }
    // An event that has yet to be counted may have been read.
    if !row.unread_counts.threads.is_empty() && !unread::misses(sql, &row.room_id)? {
        row.unread_counts.tidy(from.previous());
    }
    Ok(())
}

/// A redacted event no longer counts.
pub(super) fn discount(sql: &impl Sql, row: &mut RoomRow, target: &EventId) -> Result<(), SqlError> {
    if let Some(notification) = inbox::drop_notification(sql, row, target)? {
        row.unread_counts.take(&notification);
        return Ok(());
    }
    if !row.packed {
        return Ok(());
    }
    for mut pack in unread::packs(sql, &row.room_id, row.newest)? {
        let Some(place) = pack.notifications.iter().position(|packed| packed.is_of(target)) else { continue };
        row.unread_counts.take(&pack.notifications.remove(place).notification);
        unread::write(sql, &row.room_id, &pack)?;
        row.packed = unread::has_packs(sql, &row.room_id)?;
    }
    Ok(())
}
