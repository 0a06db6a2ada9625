//! Telling local members' hubs what happened.
//!
//! Every user stands in one queue with the first position still to be told, so a slow or broken hub delays nobody else,
//! and what piles up for a user goes out as one notice. A hub that cannot be told becomes a laggard: a row remembers from
//! where, and the alarm or the next event tries again. The `announced` cursor covers everything before the queue.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use futures::{channel::oneshot, future::join_all};
use ruma::{OwnedUserId, UserId};
use tern_model::{Millis, RoomSeq, StoredEvent};
use tern_ports::{ObjectHost, SqlError, Target, wire::frame, wire::user::Delivered};
use tern_room::Audience;

use super::{
    RoomActor,
    alarm::backed_off,
    bundle::{Bundle, MOST_EVENTS},
    desk::{Desk, Pending},
    store::Head,
    turns::Turns,
};

/// Hubs told at once; the platform allows six connections.
const CARRIERS: usize = 6;

/// Carriers more, for whoever must be told before a reply.
const URGENT_CARRIERS: usize = 2;

/// Events whose audience is found in one go.
const CHUNK: u32 = 200;

/// After this many deliveries the cursor is moved even though the queue is not empty.
const CURSOR_INTERVAL: u32 = 1_024;

/// In a room of no more members, all are told in one go, and the reply need not go first.
const AT_ONCE: u64 = CARRIERS as u64;

/// Delays between attempts to tell laggards.
const RETRY: (u64, u64) = (5_000, 600_000);

/// What still has to be told, and to whom.
#[derive(Default)]
pub(super) struct Announcer(RefCell<Desk>);

/// What came of telling somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Heard,
    /// Heard, and nobody listens there.
    Asleep,
    Missed,
}

impl Announcer {
    /// A hub listens again: what it is just being told tells nothing of that.
    pub(super) fn attended(&self, user_id: &UserId) {
        let mut desk = self.0.borrow_mut();
        if desk.in_flight.contains_key(user_id) {
            desk.attended.insert(user_id.to_owned());
        }
    }

    /// The summary is not known to have changed after this position.
    pub(super) fn summary_changed(&self) -> Option<RoomSeq> {
        let desk = self.0.borrow();
        desk.absorbed.map(|_| desk.summary_changed)
    }
}

/// Works on the queue. When it is dropped on the way, what it carried goes back.
struct Carrier<H: ObjectHost> {
    actor: Rc<RoomActor<H>>,
    carrying: Option<(OwnedUserId, Pending)>,
}

impl<H: ObjectHost> Drop for Carrier<H> {
    fn drop(&mut self) {
        let mut desk = self.actor.announcer.0.borrow_mut();
        desk.carriers = desk.carriers.saturating_sub(1);
        if desk.carriers == 0 {
            desk.bundle = None;
        }
        if let Some((user_id, pending)) = self.carrying.take() {
            desk.in_flight.remove(&user_id);
            desk.attended.remove(&user_id);
            desk.enqueue(&user_id, pending);
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Queues what was committed and sees to it that somebody works on the queue.
    pub(super) fn start_announcing(self: &Rc<Self>) {
        // An unreadable row leaves the cursor where it is; the alarm comes back to it.
        if self.absorb().is_ok() {
            self.start_carriers(CARRIERS);
        }
    }

    /// Tells these users before anybody else, and waits until they were told or could not be.
    pub(super) async fn tell(self: &Rc<Self>, users: &[OwnedUserId]) {
        if self.absorb().is_err() {
            return;
        }
        let mut told = Vec::new();
        {
            let mut desk = self.announcer.0.borrow_mut();
            for user_id in users {
                let pending = desk.pending.contains_key(user_id);
                if !pending && !desk.in_flight.contains_key(user_id) {
                    continue;
                }
                if let Some(place) = desk.order.iter().position(|queued| queued == user_id)
                    && let Some(user_id) = desk.order.remove(place)
                {
                    desk.order.push_front(user_id);
                }
                let (done, waiting) = oneshot::channel();
                desk.waiting.push((user_id.clone(), done));
                told.push(waiting);
            }
        }
        self.start_carriers(CARRIERS + URGENT_CARRIERS);
        join_all(told).await;
    }

    /// Tells typing or receipts to all joined members, or to `only` one of them, and then asks for the alarm they need.
    /// Best effort, and none of it before the reply.
    pub(super) fn announce_ephemeral(self: &Rc<Self>, news: Pending, only: Option<OwnedUserId>) {
        let actor = Rc::clone(self);
        self.host.spawn(Box::pin(async move {
            actor.let_reply_go_first().await;
            if actor.queue_ephemeral(&news, only).is_ok() {
                actor.start_announcing();
            }
            // An alarm is a write, which those who wait for the news need not wait for.
            actor.host.breathe().await;
            if let Some(at) = actor.ephemeral_due() {
                actor.wish(at).await;
            }
        }));
    }

    fn queue_ephemeral(&self, news: &Pending, only: Option<OwnedUserId>) -> Result<(), SqlError> {
        let mut hearers: BTreeSet<OwnedUserId> = match (only, self.head()?) {
            (Some(user_id), _) => [user_id].into(),
            (None, Some(head)) => self.audience(&head)?.into_iter().map(|(user_id, _)| user_id).collect(),
            (None, None) => BTreeSet::new(),
        };
        // Whoever read counts less as unread, also while nobody listens.
        hearers.extend(news.receipts.iter().map(|receipt| receipt.user_id.clone()));
        let mut desk = self.announcer.0.borrow_mut();
        for user_id in hearers.iter().filter(|user_id| self.is_local(user_id)) {
            desk.enqueue(user_id, news.clone());
        }
        Ok(())
    }

    /// In a room of many, telling them takes longer than whoever waits for a reply should.
    pub(super) async fn let_reply_go_first(&self) {
        if self.head().is_ok_and(|head| head.is_some_and(|head| head.joined > AT_ONCE)) {
            self.host.breathe().await;
        }
    }

    /// Queues laggards whose time has come.
    pub(super) fn retry_laggards(&self, now: Millis) -> Result<(), SqlError> {
        self.absorb()?;
        let mut desk = self.announcer.0.borrow_mut();
        if desk.retry_at.is_none_or(|at| at <= now) {
            desk.retry_at = None;
            for (user_id, from) in desk.laggards.clone() {
                desk.enqueue(&user_id, Pending { from: Some(from), ..Pending::default() });
            }
        }
        Ok(())
    }

    /// When laggards are to be tried again, if there are any; `otherwise` while they are being tried.
    pub(super) fn laggards_due(&self, otherwise: Millis) -> Option<Millis> {
        let desk = self.announcer.0.borrow();
        (!desk.laggards.is_empty()).then(|| desk.retry_at.unwrap_or(otherwise))
    }

    pub(super) fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.config.server_name
    }

    /// Turns committed events into queue entries.
    fn absorb(&self) -> Result<(), SqlError> {
        self.absorb_commits()?;
        self.move_announced();
        Ok(())
    }

    fn absorb_commits(&self) -> Result<(), SqlError> {
        let Some(head) = self.head()? else { return Ok(()) };
        let mut desk = self.announcer.0.borrow_mut();
        let mut absorbed = if let Some(absorbed) = desk.absorbed {
            absorbed
        } else {
            desk.laggards = self.store().laggards()?.into_iter().collect();
            desk.summary_changed = head.newest;
            head.announced
        };
        desk.absorbed = Some(absorbed);
        if absorbed >= head.newest {
            return Ok(());
        }
        let head = self.grow(&head)?;
        while absorbed < head.newest {
            let events = self.store().events(absorbed, head.newest, false, CHUNK)?;
            let Some(last) = events.last() else { break };
            absorbed = last.seq;
            let before = events.first().map_or(absorbed, |first| first.seq.previous());
            let turns = if head.turned > before { self.store().turns_after(before)? } else { Turns::default() };
            let events = turns.effective(events);
            self.queue_turned(&mut desk, &turns);
            let audience = Audience::of(&events);
            if head.large {
                self.follow_listeners(&audience, &turns)?;
            }
            self.queue_audience(&mut desk, &audience, &self.audience(&head)?, &turns);
            if !turns.is_empty() || events.iter().any(affects_summary) {
                let summary = Rc::new(self.summarise(&head)?);
                if desk.summary.as_ref() != Some(&summary) {
                    desk.summary_changed = absorbed;
                    desk.summary = Some(summary);
                }
            }
            desk.absorbed = Some(absorbed);
        }
        Ok(())
    }

    /// Whose membership a fork turned hears of it, too.
    fn queue_turned(&self, desk: &mut Desk, turns: &Turns) {
        for (user_id, seq) in turns.members.iter().filter(|(user_id, _)| self.is_local(user_id)) {
            desk.enqueue(user_id, Pending { from: Some(*seq), ..Pending::default() });
        }
    }

    fn queue_audience(&self, desk: &mut Desk, audience: &Audience, hearers: &[(OwnedUserId, RoomSeq)], turns: &Turns) {
        let from = |share: tern_room::Share| Pending { from: Some(share.first), ..Pending::default() };
        // Whom a resolution brought in has seen nothing before it.
        let brought_in = |(user_id, since): &&(OwnedUserId, RoomSeq)| turns.members.get(user_id) == Some(since);
        for (user_id, since) in hearers.iter().filter(|member| self.is_local(&member.0) && !brought_in(member)) {
            if let Some(share) = audience.joined(user_id, *since) {
                desk.enqueue(user_id, from(share));
            }
        }
        for (user_id, share) in audience.changed().filter(|(user_id, _)| self.is_local(user_id)) {
            desk.enqueue(user_id, from(share.clone()));
        }
    }

    fn start_carriers(self: &Rc<Self>, most: usize) {
        for carrier in self.hire(most) {
            self.host.spawn(Box::pin(carrier.work()));
        }
    }

    /// As many carriers as the queue is worth, of at most `most` altogether.
    fn hire(self: &Rc<Self>, most: usize) -> Vec<Carrier<H>> {
        let mut desk = self.announcer.0.borrow_mut();
        let wanted = desk.order.len().min(most.saturating_sub(desk.carriers));
        desk.carriers += wanted;
        (0..wanted).map(|_| Carrier { actor: Rc::clone(self), carrying: None }).collect()
    }

    /// Tells one user what is pending.
    async fn carry(&self, head: &Head, user_id: &OwnedUserId, pending: &Pending) -> Told {
        let bundle = pending.from.map(|from| self.bundle(head, from)).transpose();
        let frame = bundle.and_then(|bundle| self.write_notice(head, user_id, pending, bundle.as_deref()));
        match frame {
            Ok(Some(frame)) => self.deliver(user_id, frame).await,
            Ok(None) => Told::Heard,
            Err(_) => Told::Missed,
        }
    }

    async fn deliver(&self, user_id: &UserId, frame: Vec<u8>) -> Told {
        let reply = self.host.exchange(&Target::User(user_id.to_owned()), frame).await;
        match reply.map(|reply| frame::read_reply::<Delivered>(&reply)) {
            Ok(Ok(Delivered { asleep: false })) => Told::Heard,
            Ok(Ok(Delivered { asleep: true })) => Told::Asleep,
            _ => Told::Missed,
        }
    }

    /// The bundle from a position on; the same one for everybody who stands at the same position.
    fn bundle(&self, head: &Head, from: RoomSeq) -> Result<Rc<Bundle>, SqlError> {
        let (kept, summary_changed) = {
            let desk = self.announcer.0.borrow();
            (desk.bundle.clone(), desk.summary_changed)
        };
        if let Some(bundle) = kept.filter(|bundle| bundle.serves(from, head.newest)) {
            return Ok(bundle);
        }
        let bundle = Rc::new(self.make_bundle(head, from, summary_changed, MOST_EVENTS)?);
        self.announcer.0.borrow_mut().bundle = Some(Rc::clone(&bundle));
        Ok(bundle)
    }

    /// Keeps the books after an attempt to tell `user_id` everything up to `head`.
    fn finish(&self, user_id: &OwnedUserId, pending: &Pending, told: Told) -> Result<(), SqlError> {
        let desk = &mut *self.announcer.0.borrow_mut();
        if told == Told::Asleep && !desk.attended.contains(user_id) {
            self.store().drop_listener(user_id)?;
        }
        match pending.from {
            Some(_) if told != Told::Missed => {
                desk.failures = 0;
                if desk.laggards.remove(user_id).is_some() {
                    self.store().drop_laggard(user_id.as_str())?;
                }
            }
            Some(from) => {
                desk.failures = desk.failures.saturating_add(1);
                desk.retry_at = Some(desk.retry_at.unwrap_or(backed_off(self.host.now(), desk.failures, RETRY)));
                if desk.laggards.insert(user_id.clone(), from) != Some(from) {
                    self.store().put_laggard(user_id.as_str(), from)?;
                }
            }
            None => {}
        }
        desk.in_flight.remove(user_id);
        desk.attended.remove(user_id);
        desk.release_waiting(user_id);
        desk.delivered = desk.delivered.wrapping_add(1);
        Ok(())
    }

    /// Moves the cursor over what has been dealt with.
    fn move_announced(&self) {
        let desk = self.announcer.0.borrow();
        let idle = desk.pending.is_empty() && desk.in_flight.is_empty();
        // To find out how far everybody is takes a look at the whole queue: not after each delivery.
        if !idle && !desk.delivered.is_multiple_of(CURSOR_INTERVAL) {
            return;
        }
        if let Some(announced) = desk.announced() {
            self.move_cursor(|head| head.announced = head.announced.max(announced));
        }
    }
}

impl<H: ObjectHost> Carrier<H> {
    /// Delivers until nobody is left in the queue.
    async fn work(mut self) {
        let actor = Rc::clone(&self.actor);
        // What has just been committed is queued first: the frame reaches to the newest event.
        while let (Ok(()), Ok(Some(head))) = (actor.absorb(), actor.head()) {
            let next = actor.announcer.0.borrow_mut().take_next();
            let Some((user_id, pending)) = next else { break };
            self.carrying = Some((user_id.clone(), pending.clone()));
            let told = actor.carry(&head, &user_id, &pending).await;
            if actor.finish(&user_id, &pending, told).is_err() {
                // The failure could not be written down: it goes back to the queue, and the alarm comes back to it.
                break;
            }
            self.carrying = None;
            actor.move_announced();
            // Answers of those who were told leave now, and what others send meanwhile goes along with the next notices.
            if !actor.announcer.0.borrow().order.is_empty() {
                actor.host.breathe().await;
            }
        }
    }
}

/// The event may change what a summary says.
pub(super) fn affects_summary(event: &StoredEvent) -> bool {
    matches!(
        event.kind.as_str(),
        "m.room.name"
            | "m.room.avatar"
            | "m.room.canonical_alias"
            | "m.room.topic"
            | "m.room.create"
            | "m.room.join_rules"
            | "m.room.encryption"
            | "m.room.tombstone"
            | "m.room.member"
            | "m.room.redaction"
            | "m.space.child"
    )
}
