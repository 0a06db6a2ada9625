//! Notices of rooms: what the hub takes over from them.
//!
//! A notice may come again, and one may be lost. The position of each event tells: what is known is skipped, and after a
//! gap the inbox starts anew, so that a sync reads what is missing from storage or from the room.

use std::rc::Rc;

use tern_model::{MatrixError, Notice, NoticeEvent, ResolvedState, RoomSeq, StreamPos, news};
use tern_ports::{ObjectHost, Sql, WaitingPolls, wire::user::Delivered};
use tern_room::client::with_membership;
use tern_sync::{Membership, is_bump, relists};

use super::{
    UserActor,
    alarm::Duty,
    counting::{Place, discount, pack_before},
    ephemeral::is_typing_alone,
    ignored::is_unheard,
    inbox_bounds::{KEPT, retire, trim},
    member::{MEMBER, display_name, is_member_event_of, joins, membership_after},
    redaction,
    room_rows::Filing,
    store::{
        facts::{self, Facts},
        inbox, resolved,
        rooms::RoomRow,
    },
    transaction::Transaction,
};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn deliver(self: &Rc<Self>, notices: &[Notice]) -> Result<Delivered, MatrixError> {
        let idle = notices.iter().all(|notice| notice.selective) && !self.is_active();
        // Who types is not written down: no transaction, no look at the room.
        if idle || !notices.iter().all(is_typing_alone) {
            self.take_notices(notices, |_| Ok(()))?;
        } else {
            self.take_typing(notices)?;
        }
        if self.behind.take() {
            self.host.spawn(Box::pin(Rc::clone(self).see_to(Duty::Missed)));
        }
        Ok(Delivered { idle })
    }

    /// Takes over what rooms say, and does something else in the same transaction.
    pub(super) fn take_notices(
        &self,
        notices: &[Notice],
        and: impl FnOnce(&Transaction<'_, H::Sql>) -> Result<(), MatrixError>,
    ) -> Result<(), MatrixError> {
        self.change(|tx| {
            notices.iter().try_for_each(|notice| self.merge(tx, notice))?;
            and(tx)
        })?;
        self.take_typing(notices)
    }

    fn merge(&self, tx: &Transaction<'_, H::Sql>, notice: &Notice) -> Result<(), MatrixError> {
        let room_id = &notice.room_id;
        let before = self.room_row(room_id)?;
        let known = before.is_some();
        let was_in = before.as_ref().is_some_and(|before| before.membership == Membership::Join);
        let mut row = before.clone().unwrap_or_else(|| RoomRow::unknown(room_id));
        let fresh: Vec<&NoticeEvent> = notice.events.iter().filter(|event| event.seq > row.newest).collect();
        let known_until = row.newest.max(row.resolved);
        let resolved: Vec<&ResolvedState> =
            notice.resolved.iter().filter(|resolved| resolved.seq > known_until).collect();
        // Told again as a whole: what else it says is older than what is known.
        let stale = fresh.is_empty() && !notice.events.is_empty();
        row.forwarded = row.forwarded.max(notice.forwarded);
        let mut filed = None;
        if !fresh.is_empty() {
            let ignored = self.ignored()?;
            let heard = || fresh.iter().copied().filter(|event| !is_unheard(&ignored, event));
            // What lies in a gap may well be for the user.
            let follows = fresh.first().is_some_and(|first| first.seq == row.newest.next());
            let quiet = follows && heard().next().is_none();
            self.take_sticky(tx, notice)?;
            let pos = if quiet { tx.advance_quietly(news::ROOMS) } else { tx.advance(news::ROOMS) };
            let previous = row.clone();
            make_place(tx, &mut row, &fresh)?;
            file_resolved(tx, &mut row, &resolved)?;
            if !quiet {
                move_room(&mut row, heard(), pos);
            }
            self.take_membership(tx, &mut row, notice, &fresh, pos);
            self.take_resolved_join(&mut row, &resolved);
            let first = fresh.first().map_or(previous.newest, |event| event.seq);
            self.begin_counting(tx, &mut row, &previous, first)?;
            filed = self.file(tx, &mut row, (notice, &fresh), pos, previous.membership)?;
            // A redaction counts, whoever sends it.
            if quiet && row.unread_counts != previous.unread_counts {
                row.pos = tx.advance(news::ROOMS);
            }
            trim(tx, &mut row, previous.inbox_bytes)?;
            self.follow_members(tx, &row, was_in, notice, &fresh)?;
            self.unstick_room(tx.sql, &row)?;
        }
        if fresh.is_empty()
            && let (true, Some(gone)) = (known, resolved.last())
        {
            self.leave_by_resolution(tx, &mut row, notice, gone)?;
        }
        let mut upgrades = Vec::new();
        if !stale && (known || !fresh.is_empty()) {
            upgrades = self.upgrades(&row, was_in, notice)?;
            self.take_facts(tx, &mut row, notice)?;
        }
        if row.membership == Membership::Join {
            self.take_receipts(tx, &mut row, notice)?;
        }
        self.unsubscribe(tx, &row, notice)?;
        self.note_unread(before.as_ref(), &row);
        if known || !fresh.is_empty() {
            self.keep_room(tx, before, row, filed)?;
        }
        upgrades.iter().try_for_each(|upgrade| self.copy_settings(tx, upgrade))
    }

    /// A join that state resolution restored counts from there.
    fn take_resolved_join(&self, row: &mut RoomRow, resolved: &[&ResolvedState]) {
        let own = |resolved: &&&ResolvedState| resolved.kind == MEMBER && resolved.state_key == self.user_id.as_str();
        if let (Membership::Join, Some(own)) = (row.membership, resolved.iter().rfind(own)) {
            row.joined = row.joined.max(own.seq);
        }
    }

    /// Puts new events into the inbox, each with its mark, the last one with what they move of the room.
    fn file(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        (notice, fresh): (&Notice, &[&NoticeEvent]),
        pos: StreamPos,
        before: Membership,
    ) -> Result<Option<Filing>, MatrixError> {
        let facts = self.facts(&notice.room_id)?;
        let mut place = Place::of(&notice.room_id, &facts);
        if let Some(summary) = &notice.summary {
            place.members = summary.joined;
        }
        let encrypted = notice.summary.as_ref().or(facts.summary.as_ref()).is_some_and(|summary| summary.encrypted);
        let told = fresh.iter().any(|event| is_member_event_of(event, &self.user_id));
        let mut at_event = if told { before } else { row.membership };
        let last = fresh.last().map_or(RoomSeq(0), |event| event.seq);
        let mut filing = None;
        for event in fresh {
            if is_member_event_of(event, &self.user_id) {
                place.own_name = display_name(event);
                at_event = membership_after(event).as_deref().and_then(Membership::parse).unwrap_or(at_event);
            }
            let mut filed = self.count(tx, row, &place, event)?;
            if filed.highlights.is_some() {
                self.note_push(tx, pos);
            }
            // Clients judge by it whether a message that they cannot read was ever meant to be (MSC4115): so it is worth
            // its bytes where messages are encrypted, and nowhere else.
            let client = encrypted.then(|| with_membership(&event.client, at_event.as_str()));
            let client = client.as_ref().unwrap_or(&event.client);
            row.inbox_bytes = row.inbox_bytes.map(|held| held + client.text().len() as u64);
            let figures = row.figures(&tx.hub());
            filed.figures = (event.seq == last).then_some(figures);
            filing = Some(Filing { pos, figures });
            inbox::add(tx.sql, row, event, client, filed, pos)?;
            row.newest = event.seq;
            if let Some(target) = &event.redacts {
                discount(tx.sql, row, target)?;
                redaction::apply(tx.sql, &row.room_id, target, event)?;
                self.unstick(tx.sql, &row.room_id, target)?;
            }
        }
        Ok(filing)
    }

    fn take_membership(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        notice: &Notice,
        fresh: &[&NoticeEvent],
        pos: StreamPos,
    ) {
        let Some(membership) = notice.membership.as_deref().and_then(Membership::parse) else { return };
        let own: Vec<&&NoticeEvent> = fresh.iter().filter(|event| is_member_event_of(event, &self.user_id)).collect();
        if let Some(event) = own.last() {
            let was_in = row.membership == Membership::Join || own.iter().any(|event| joins(event));
            row.removed = match (membership, row.membership) {
                (Membership::Leave | Membership::Ban, _) if was_in => event.sender != self.user_id,
                (Membership::Leave | Membership::Ban, Membership::Leave | Membership::Ban) => row.removed,
                // An invite or knock that came to nothing is no removal.
                _ => false,
            };
            if membership != Membership::Join || row.membership != Membership::Join {
                row.bump = row.bump.max(event.ts);
            }
        }
        if membership == Membership::Join {
            let join = own.iter().rfind(|event| joins(event));
            // Should the event that tells be lost, the newest one stands for it.
            let unclear = || own.last().filter(|_| row.membership != Membership::Join);
            if let Some(event) = join.or_else(unclear) {
                row.joined = event.seq;
            }
        }
        let comes_back = matches!(membership, Membership::Join | Membership::Invite | Membership::Knock);
        // A room not known before is not a forgotten one.
        row.forgotten = row.forgotten && !comes_back && row.relisted > StreamPos(0);
        row.membership = membership;
        row.relisted = pos;
        tx.relist(pos);
    }

    /// Resolution has taken away the user's member event and left none: nothing to show, but the room is over.
    fn leave_by_resolution(
        &self,
        tx: &Transaction<'_, H::Sql>,
        row: &mut RoomRow,
        notice: &Notice,
        gone: &ResolvedState,
    ) -> Result<(), MatrixError> {
        let was_in = row.membership == Membership::Join;
        let pos = tx.advance(news::ROOMS);
        (row.pos, row.activity) = (pos, pos);
        row.resolved = gone.seq;
        self.take_membership(tx, row, notice, &[], pos);
        row.removed = was_in;
        self.unstick_room(tx.sql, row)?;
        self.follow_members(tx, row, was_in, notice, &[])
    }

    /// The room's summary and stripped state, when the notice brings them.
    fn take_facts(&self, tx: &Transaction<'_, H::Sql>, row: &mut RoomRow, notice: &Notice) -> Result<(), MatrixError> {
        let own = notice.events.iter().rfind(|event| is_member_event_of(event, &self.user_id));
        if notice.summary.is_none() && notice.stripped.is_empty() && notice.membership.is_none() && own.is_none() {
            return Ok(());
        }
        let old = self.facts(&row.room_id)?;
        let outside = matches!(row.membership, Membership::Invite | Membership::Knock);
        let stripped = match (outside, notice.stripped.is_empty()) {
            (true, false) => notice.stripped.clone().into(),
            (true, true) => old.stripped.clone(),
            (false, _) => [].into(),
        };
        let own_name = own.map_or_else(|| old.own_name.clone(), display_name);
        let new = Facts { summary: notice.summary.clone().or_else(|| old.summary.clone()), stripped, own_name };
        if new == old {
            return Ok(());
        }
        facts::write(tx.sql, &row.room_id, &new)?;
        self.rooms.borrow_mut().facts_changed(&row.room_id);
        // Events that came along have moved the room already.
        let moved = !notice.events.is_empty();
        let pos = if moved { row.pos } else { tx.advance(news::ROOMS) };
        row.pos = pos;
        let relisted = match (&old.summary, &new.summary) {
            (Some(old), Some(new)) => relists(old, new),
            (None, None) => false,
            _ => true,
        };
        if relisted {
            row.relisted = pos;
            tx.relist(pos);
        }
        Ok(())
    }
}

/// Makes place for new events: after a gap the inbox starts anew.
fn make_place(tx: &Transaction<'_, impl Sql>, row: &mut RoomRow, fresh: &[&NoticeEvent]) -> Result<(), MatrixError> {
    let Some(first) = fresh.first() else { return Ok(()) };
    if first.seq > row.newest.next() {
        // What is held from before the gap is no part of the inbox any more, but still tells what was known when.
        if let Some(oldest) = inbox::newest_but(tx.sql, &row.room_id, KEPT)? {
            pack_before(tx.sql, row, oldest.next())?;
            retire(tx.sql, row, oldest.next())?;
        }
        row.inbox_from = first.seq;
    }
    Ok(())
}

/// Keeps what resolution changed, until the inbox is beyond it.
fn file_resolved(
    tx: &Transaction<'_, impl Sql>,
    row: &mut RoomRow,
    fresh: &[&ResolvedState],
) -> Result<(), MatrixError> {
    for resolved in fresh {
        resolved::put(tx.sql, &row.room_id, resolved)?;
        row.resolved = row.resolved.max(resolved.seq);
    }
    Ok(())
}

/// The room goes to its place among the others, by what was heard in it.
fn move_room<'a>(row: &mut RoomRow, mut heard: impl DoubleEndedIterator<Item = &'a NoticeEvent>, pos: StreamPos) {
    if let Some(bump) = heard.rfind(|event| is_bump(&event.kind)) {
        row.bump = bump.ts;
    }
    (row.pos, row.activity) = (pos, pos);
}
