//! Notices: what one user is told of a range of events.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use ruma::{OwnedUserId, UserId};
use tern_model::{
    EphemeralNotice, Notice, NoticeEvent, ResolvedState, RoomSeq, RoomSummary, StickyEvent, StoredEvent, TxnRef,
};
use tern_ports::{
    ObjectHost, SqlError,
    wire::{UserCommand, frame, user::Deliver},
};
use tern_room::{
    Audience, Form, VisibleRange, client_event,
    power::Powers,
    redact,
    summary::{HEROES, Members, stripped_state, summarise},
};

use crate::{
    RoomActor,
    delivery::{pending::Pending, summary::affects_summary},
    graph::resolution_changes::{Move, ResolutionChanges},
    timeline::{
        children::Children,
        head::Head,
        store::damaged,
        view::{Transaction, parsed},
    },
};

/// Most events in one notice, and most bytes of them. Who missed more is told the newest, and sees the gap.
pub(crate) const MOST_EVENTS: u32 = 100;
const MOST_BYTES: u64 = 1_000_000;

/// Most changes by resolutions that are told; of more, the newest.
const MOST_MOVES: usize = 2_000;

const MEMBER: &str = "m.room.member";

/// Most receipts told to somebody who joins.
pub(crate) const MOST_RECEIPTS: u32 = 500;

/// A range of events, ready to be told to anybody.
pub(crate) struct NoticeBatch {
    /// Where its readers stand: the first position they asked for.
    from: RoomSeq,
    first: RoomSeq,
    last: RoomSeq,
    /// The newest position when it was made.
    newest: RoomSeq,
    events: Vec<(NoticeEvent, Option<TxnRef>)>,
    audience: Audience,
    /// Members whose member event a resolution changed, within the range, and what else it did.
    resolved: BTreeMap<OwnedUserId, RoomSeq>,
    moves: Vec<ResolvedState>,
    summary: Option<Rc<RoomSummary>>,
    /// Who is in the room, when events had to be left out that may have changed it.
    members: Option<Rc<Vec<OwnedUserId>>>,
    /// Sticky events of the range, those left out included.
    sticky: Vec<StickyEvent>,
    /// The frame for those about whom nothing is special.
    plain: RefCell<Option<Vec<u8>>>,
}

impl NoticeBatch {
    /// It is still the right one for somebody at `from`.
    pub(crate) fn serves(&self, from: RoomSeq, newest: RoomSeq) -> bool {
        self.from == from && self.newest == newest
    }

    /// A member since `since` is told it as it is.
    pub(crate) fn is_plain_for(&self, user_id: &UserId, since: RoomSeq) -> bool {
        is_plain(self, user_id, Some(&(since, "join".to_owned())))
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// At most the newest `most` events from `from` on.
    pub(crate) fn make_batch(
        &self,
        head: &Head,
        from: RoomSeq,
        summary_changed: RoomSeq,
        most: u32,
    ) -> Result<NoticeBatch, SqlError> {
        let after = from.previous().max(head.tail);
        let mut stored = self.store().events_within((after, head.newest), true, most, MOST_BYTES)?;
        stored.reverse();
        let resolutions =
            if head.resolved > after { self.store().resolutions_after(after)? } else { ResolutionChanges::default() };
        let stored = resolutions.effective(stored);
        let first = stored.first().map_or(head.newest, |event| event.seq);
        let powers = self.powers(head);
        let events = stored.iter().map(|event| Ok((notice_event(head, event, powers.as_ref())?, event.txn.clone())));
        let events = events.collect::<Result<Vec<_>, SqlError>>()?;
        let moved = first > from || !resolutions.is_empty() || stored.iter().any(affects_summary);
        let changed = from <= summary_changed && moved;
        let moved_unseen = !resolutions.members.is_empty() || self.hides_moves(head, from, first)?;
        let followed = moved_unseen && self.is_followed(head)? || self.is_followed_since(head, from)?;
        Ok(NoticeBatch {
            from,
            first,
            last: stored.last().map_or(head.newest, |event| event.seq),
            newest: head.newest,
            audience: Audience::of(&stored),
            moves: self.moves(head, &resolutions)?,
            members: if followed { Some(self.all_joined()?) } else { None },
            resolved: resolutions.members,
            events,
            sticky: self.sticky_from(head, from)?,
            summary: if changed { Some(Rc::new(self.summarise(head)?)) } else { None },
            plain: RefCell::default(),
        })
    }

    /// Somebody may have come or gone in what lies between `from` and the first event told.
    fn hides_moves(&self, head: &Head, from: RoomSeq, first: RoomSeq) -> Result<bool, SqlError> {
        Ok(first > from && (head.resolved >= from || self.store().members_moved(from, first)?))
    }

    /// What `user_id`, of this membership, is told of a batch, and what else is new; none when there is nothing to
    /// tell.
    pub(crate) fn notice(
        &self,
        head: &Head,
        user_id: &OwnedUserId,
        membership: Option<(RoomSeq, String)>,
        batch: Option<&NoticeBatch>,
        ephemeral: Vec<EphemeralNotice>,
    ) -> Result<Option<Notice>, SqlError> {
        if let Some(at) = batch.and_then(|batch| put_out_at(batch, user_id, membership.as_ref())) {
            return self.sent_away(head, user_id, at, membership).map(Some);
        }
        let visible = batch.zip(membership.as_ref()).and_then(|(batch, current)| visible(batch, user_id, current));
        if let (Some(batch), Some(visible)) = (batch, visible) {
            return Ok(Some(self.special(head, user_id, batch, visible, ephemeral)?));
        }
        Ok((!ephemeral.is_empty()).then(|| Notice { ephemeral, ..self.blank(head) }))
    }

    /// The frame that tells `user_id` what is pending; none when there is nothing to tell.
    pub(crate) fn write_notice(
        &self,
        head: &Head,
        user_id: &OwnedUserId,
        pending: &Pending,
        batch: Option<&NoticeBatch>,
    ) -> Result<Option<Vec<u8>>, SqlError> {
        let membership = self.store().membership(user_id.as_str())?;
        let joined = membership.as_ref().is_some_and(|(_, membership)| membership == "join");
        let ephemeral = if joined { self.ephemeral_news(pending) } else { Vec::new() };
        let plain = batch.filter(|batch| ephemeral.is_empty() && is_plain(batch, user_id, membership.as_ref()));
        let Some(batch) = plain else {
            return Ok(self.notice(head, user_id, membership, batch, ephemeral)?.map(write));
        };
        if let Some(plain) = &*batch.plain.borrow() {
            return Ok(Some(plain.clone()));
        }
        let frame = write(self.plain(head, batch));
        batch.plain.replace(Some(frame.clone()));
        Ok(Some(frame))
    }

    /// What all are told about whom nothing is special and for whom this is pending.
    pub(crate) fn plain_notice(&self, head: &Head, pending: &Pending, batch: Option<&NoticeBatch>) -> Notice {
        let notice = batch.map_or_else(|| self.blank(head), |batch| self.plain(head, batch));
        Notice { ephemeral: self.ephemeral_news(pending), ..notice }
    }

    fn plain(&self, head: &Head, batch: &NoticeBatch) -> Notice {
        let events = batch.events.iter().map(|(event, _)| event.clone()).collect();
        let (summary, members) = (batch.summary.clone(), batch.members.clone());
        let (resolved, sticky) = (batch.moves.clone(), batch.sticky.clone());
        Notice { events, resolved, summary, members, sticky, ..self.blank(head) }
    }

    /// A notice made for one user.
    fn special(
        &self,
        head: &Head,
        user_id: &OwnedUserId,
        batch: &NoticeBatch,
        visible: VisibleRange,
        mut ephemeral: Vec<EphemeralNotice>,
    ) -> Result<Notice, SqlError> {
        let covered = batch.events.iter().filter(|(event, _)| visible.covers(event.seq));
        let mut events: Vec<NoticeEvent> = covered.map(|(event, txn)| with_txn(event, txn.as_ref(), user_id)).collect();
        let member = self.store().state(MEMBER, user_id.as_str())?;
        if let (true, Some(member)) = (events.is_empty(), &member) {
            events.push(notice_event(head, member, None)?);
        }
        let stripped = match &member {
            Some(member) if visible.stripped() => {
                let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, head.clone());
                stripped_state(&tx, &parsed(member)?).map_err(damaged)?
            }
            _ => Vec::new(),
        };
        let joins = visible.membership.as_deref() == Some("join");
        if joins {
            ephemeral.extend(self.current_receipts(MOST_RECEIPTS)?);
        }
        let member_now = joins || visible.membership.is_none();
        let summary = match &batch.summary {
            Some(summary) if member_now => Some(Rc::clone(summary)),
            None if joins => Some(Rc::new(self.summarise(head)?)),
            _ => None,
        };
        let members = match &batch.members {
            Some(members) if member_now => Some(Rc::clone(members)),
            None if joins && self.is_followed(head)? => Some(self.all_joined()?),
            _ => None,
        };
        let sticky = match (joins, member_now) {
            (true, _) => self.sticky_from(head, RoomSeq::default())?,
            (_, true) => batch.sticky.clone(),
            _ => Vec::new(),
        };
        let resolved = batch.moves.iter().filter(|resolved| visible.covers(resolved.seq)).cloned().collect();
        let membership = visible.membership;
        Ok(Notice { events, resolved, membership, stripped, summary, members, ephemeral, sticky, ..self.blank(head) })
    }

    /// For somebody whom a resolution at `at` put out of the room: the member event that holds now, if there is one. What
    /// happened at that position is nothing they may see.
    fn sent_away(
        &self,
        head: &Head,
        user_id: &OwnedUserId,
        at: RoomSeq,
        membership: Option<(RoomSeq, String)>,
    ) -> Result<Notice, SqlError> {
        let member = self.store().state(MEMBER, user_id.as_str())?;
        let event =
            member.as_ref().map(|member| notice_event(head, &at_position(member.clone(), at), None)).transpose()?;
        let membership = membership.map_or_else(|| "leave".to_owned(), |(_, membership)| membership);
        let stripped = match &member {
            Some(member) if matches!(membership.as_str(), "invite" | "knock") => {
                let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, head.clone());
                stripped_state(&tx, &parsed(member)?).map_err(damaged)?
            }
            _ => Vec::new(),
        };
        let gone = ResolvedState { seq: at, kind: MEMBER.to_owned(), state_key: user_id.to_string(), event: None };
        let resolved = if event.is_none() { vec![gone] } else { Vec::new() };
        let events = event.into_iter().collect();
        Ok(Notice { events, resolved, membership: Some(membership), stripped, ..self.blank(head) })
    }

    /// What resolutions changed, ready to be told.
    fn moves(&self, head: &Head, resolutions: &ResolutionChanges) -> Result<Vec<ResolvedState>, SqlError> {
        let mut moves = Vec::new();
        for Move { seq, kind, state_key, after } in resolutions.moves.iter().rev().take(MOST_MOVES).rev() {
            let event = match after {
                None => None,
                // What is gone from here has been replaced since, and that is told as well.
                Some(event_id) => match self.store().event(event_id.as_str())? {
                    Some(event) => Some(notice_event(head, &at_position(event, *seq), None)?),
                    None => continue,
                },
            };
            moves.push(ResolvedState { seq: *seq, kind: kind.clone(), state_key: state_key.clone(), event });
        }
        Ok(moves)
    }

    fn powers(&self, head: &Head) -> Option<Powers> {
        Powers::load(&Transaction::new(&self.room_id, self.host.sql(), &self.cache, head.clone())).ok()
    }

    fn blank(&self, head: &Head) -> Notice {
        Notice {
            room_id: self.room_id.clone(),
            events: Vec::new(),
            resolved: Vec::new(),
            membership: None,
            stripped: Vec::new(),
            summary: None,
            members: None,
            forwarded: head.forwarded,
            selective: head.large,
            ephemeral: Vec::new(),
            sticky: Vec::new(),
        }
    }

    fn ephemeral_news(&self, pending: &Pending) -> Vec<EphemeralNotice> {
        let mut news = Vec::new();
        if pending.typing {
            news.push(EphemeralNotice::Typing(self.typing_now()));
        }
        if !pending.receipts.is_empty() {
            news.push(EphemeralNotice::Receipts(pending.receipts.iter().map(|receipt| (**receipt).clone()).collect()));
        }
        news
    }

    /// The room's summary now.
    pub(crate) fn summarise(&self, head: &Head) -> Result<RoomSummary, SqlError> {
        let store = self.store();
        let mut heroes = store.first_members(["join", "invite"], HEROES)?;
        if head.joined + head.invited <= 1 {
            let gone = store.first_members(["leave", "ban"], HEROES)?;
            heroes.extend(gone.into_iter().take(HEROES.saturating_sub(heroes.len())));
        }
        let members = Members {
            joined: head.joined,
            invited: head.invited,
            heroes: heroes.iter().map(parsed).collect::<Result<_, _>>()?,
        };
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, head.clone());
        summarise(&tx, &members, Children::of(store)).map_err(damaged)
    }
}

/// What `user_id`, whose current membership is given, gets of the batch.
fn visible(batch: &NoticeBatch, user_id: &UserId, current: &(RoomSeq, String)) -> Option<VisibleRange> {
    let (since, joined) = (current.0, current.1 == "join");
    let membership = || Some(current.1.clone());
    if batch.resolved.get(user_id) == Some(&since) {
        return Some(VisibleRange { first: since, last: batch.last, membership: membership() });
    }
    // The user's membership changed in what the batch had to leave out.
    let missed = since >= batch.from && since < batch.first;
    match batch.audience.joined(user_id, if joined { since } else { RoomSeq(u64::MAX) }) {
        Some(visible) if missed && visible.membership.is_none() => {
            Some(VisibleRange { membership: membership(), ..visible })
        }
        None if missed => Some(VisibleRange { first: since, last: since, membership: membership() }),
        visible => visible,
    }
}

/// Where a resolution put the user out of the room, if nothing has changed that since.
fn put_out_at(batch: &NoticeBatch, user_id: &UserId, current: Option<&(RoomSeq, String)>) -> Option<RoomSeq> {
    let at = batch.resolved.get(user_id).copied();
    at.filter(|at| current.is_none_or(|(since, membership)| since == at && membership != "join"))
}

/// The event as if it stood where it became state.
fn at_position(event: StoredEvent, seq: RoomSeq) -> StoredEvent {
    StoredEvent { seq, ..event }
}

/// The user is told the batch as it is, like everybody about whom nothing is special.
fn is_plain(batch: &NoticeBatch, user_id: &UserId, current: Option<&(RoomSeq, String)>) -> bool {
    if put_out_at(batch, user_id, current).is_some() {
        return false;
    }
    let own = |(event, txn): &(NoticeEvent, Option<TxnRef>)| txn.is_some() && event.sender == user_id;
    current.and_then(|current| visible(batch, user_id, current)).is_some_and(|visible| {
        let whole = visible.first <= batch.first && visible.last >= batch.last;
        whole && visible.membership.is_none() && !batch.events.iter().any(own)
    })
}

fn with_txn(event: &NoticeEvent, txn: Option<&TxnRef>, user_id: &UserId) -> NoticeEvent {
    NoticeEvent { txn: txn.filter(|_| event.sender == user_id).cloned(), ..event.clone() }
}

/// With the powers of those who may notify the room, as they are now.
fn notice_event(head: &Head, event: &StoredEvent, powers: Option<&Powers>) -> Result<NoticeEvent, SqlError> {
    let redacts = if event.kind == "m.room.redaction" { redact::target(head.version, &parsed(event)?) } else { None };
    let sender = OwnedUserId::try_from(event.sender.as_str()).map_err(damaged)?;
    Ok(NoticeEvent {
        seq: event.seq,
        event_id: event.event_id.clone(),
        kind: event.kind.clone(),
        pings_room: powers.is_some_and(|powers| powers.may_notify_room(&sender)),
        sender,
        state_key: event.state_key.clone(),
        ts: event.ts,
        client: client_event(head.version, event, Form::default()).map_err(damaged)?,
        txn: None,
        redacts,
    })
}

fn write(notice: Notice) -> Vec<u8> {
    frame::write(&UserCommand::from(Deliver { notices: vec![notice] }))
}
