//! Telling local members' hubs what happened.
//!
//! Every user stands in one queue (`delivery_queue`, filled by `enqueue`) with the first position still to be told, so
//! a slow or broken hub delays nobody else, and what piles up for a user goes out as one notice. Workers work on it
//! (`workers`), user by user, or, when it is long, by shards that relays tell (`shards`). A hub that cannot be told
//! becomes a failed recipient: a row remembers from where, and the alarm or the next event tries again. The `announced`
//! cursor covers everything before the queue.

use std::{cell::RefCell, rc::Rc};

use futures::{channel::oneshot, future::join_all};
use ruma::{OwnedUserId, UserId};
use tern_model::{Millis, RoomSeq};
use tern_ports::{ObjectHost, SqlError};

use crate::{
    RoomActor,
    delivery::{
        delivery_queue::DeliveryQueue,
        pending::Pending,
        workers::{URGENT_WORKERS, WORKERS},
    },
};

/// In a room of no more members, all are told in one go, and the reply need not go first.
const AT_ONCE: u64 = WORKERS as u64;

/// After this many deliveries the cursor is moved even though the queue is not empty.
const CURSOR_INTERVAL: u32 = 1_024;

/// What still has to be told, and to whom.
#[derive(Default)]
pub(crate) struct Announcer(pub(crate) RefCell<DeliveryQueue>);

impl Announcer {
    /// A hub listens again: what it is just being told tells nothing of that.
    pub(crate) fn subscribed(&self, user_id: &UserId) {
        let mut queue = self.0.borrow_mut();
        if queue.in_flight.contains_key(user_id) {
            queue.subscribed.insert(user_id.to_owned());
        }
    }

    /// The summary is not known to have changed after this position.
    pub(crate) fn summary_changed(&self) -> Option<RoomSeq> {
        let queue = self.0.borrow();
        queue.absorbed.map(|_| queue.summary_changed)
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Queues what was committed and sees to it that somebody works on the queue.
    pub(crate) fn start_announcing(self: &Rc<Self>) {
        // An unreadable row leaves the cursor where it is; the alarm comes back to it.
        if self.absorb().is_ok() {
            self.start_workers(WORKERS);
            self.start_server_workers();
        }
    }

    /// Tells these users before anybody else, and waits until they were told or could not be.
    pub(crate) async fn tell(self: &Rc<Self>, users: &[OwnedUserId]) {
        if self.absorb().is_err() {
            return;
        }
        let mut released = Vec::new();
        {
            let mut queue = self.announcer.0.borrow_mut();
            for user_id in users {
                let pending = queue.pending.contains_key(user_id);
                if !pending && !queue.in_flight.contains_key(user_id) {
                    continue;
                }
                if let Some(place) = queue.order.iter().position(|queued| queued == user_id)
                    && let Some(user_id) = queue.order.remove(place)
                {
                    queue.order.push_front(user_id);
                }
                let (done, waiting) = oneshot::channel();
                queue.waiting.push((user_id.clone(), done));
                released.push(waiting);
            }
        }
        self.start_workers(WORKERS + URGENT_WORKERS);
        self.start_server_workers();
        join_all(released).await;
    }

    /// Tells typing or receipts to all joined members, or to `only` one of them, and then asks for the alarm they need.
    /// Best effort, and none of it before the reply.
    pub(crate) fn announce_ephemeral(self: &Rc<Self>, news: Pending, only: Option<OwnedUserId>) {
        let actor = Rc::clone(self);
        self.host.spawn(Box::pin(async move {
            actor.let_reply_go_first().await;
            if only.is_none() {
                actor.tell_services(&news).await;
            }
            if actor.queue_ephemeral(&news, only).is_ok() {
                actor.start_announcing();
            }
            // An alarm is a write, which those who wait for the news need not wait for.
            actor.host.yield_now().await;
            if let Some(at) = actor.ephemeral_due() {
                actor.request_alarm(at).await;
            }
        }));
    }

    /// In a room of many, telling them takes longer than whoever waits for a reply should.
    pub(crate) async fn let_reply_go_first(&self) {
        if self.head().is_ok_and(|head| head.is_some_and(|head| head.joined > AT_ONCE)) {
            self.host.yield_now().await;
        }
    }

    /// Queues failed recipients whose time has come.
    pub(crate) fn retry_failed_recipients(&self, now: Millis) -> Result<(), SqlError> {
        self.absorb()?;
        let mut queue = self.announcer.0.borrow_mut();
        queue.servers.retry(now);
        if queue.retry_at.is_none_or(|at| at <= now) {
            queue.retry_at = None;
            for (user_id, from) in queue.failed_recipients.clone() {
                queue.enqueue(&user_id, Pending { from: Some(from), ..Pending::default() });
            }
        }
        Ok(())
    }

    /// When failed recipients are to be tried again, if there are any; `otherwise` while they are being tried.
    pub(crate) fn failed_recipients_due(&self, otherwise: Millis) -> Option<Millis> {
        let queue = self.announcer.0.borrow();
        let users = (!queue.failed_recipients.is_empty()).then(|| queue.retry_at.unwrap_or(otherwise));
        users.into_iter().chain(queue.servers.due(otherwise)).min()
    }

    /// Moves the cursor over what has been dealt with.
    pub(crate) fn move_announced(&self) {
        let mut queue = self.announcer.0.borrow_mut();
        let idle = queue.pending.is_empty() && queue.in_flight.is_empty() && queue.servers.is_idle();
        // To find out how far everybody is takes a look at the whole queue: not after each delivery.
        if !idle && queue.delivered < CURSOR_INTERVAL {
            return;
        }
        queue.delivered = 0;
        if let Some(announced) = queue.announced() {
            self.move_cursor(|head| head.announced = head.announced.max(announced));
        }
    }
}
