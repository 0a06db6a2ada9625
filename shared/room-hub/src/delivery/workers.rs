//! Working on the queue: each worker tells one user after the other, or has a relay tell a shard of them.

use std::rc::Rc;

use ruma::OwnedUserId;
use tern_model::RoomSeq;
use tern_ports::{ObjectHost, SqlError, wire::relay::DeliveryOutcome};

use tern_object_kit::alarm::backed_off;

use crate::{
    RoomActor,
    delivery::{
        delivery_queue::DeliveryQueue,
        notice_batch::{MOST_EVENTS, NoticeBatch},
        pending::Pending,
        shards::RelayShard,
    },
    timeline::head::Head,
};
use tern_object_kit::fan_out::tell_hub;

/// Hubs told at once; the platform allows six connections.
pub(crate) const WORKERS: usize = 6;

/// Workers more, for whoever must be told before a reply.
pub(crate) const URGENT_WORKERS: usize = 2;

/// Delays between attempts to tell failed recipients.
const RETRY: (u64, u64) = (5_000, 600_000);

/// Works on the queue. When it is dropped on the way, what it carried goes back.
struct Worker<H: ObjectHost> {
    actor: Rc<RoomActor<H>>,
    load: Option<Load>,
}

/// What a worker is about.
enum Load {
    User(OwnedUserId, Pending),
    Shard(RelayShard),
}

impl<H: ObjectHost> Drop for Worker<H> {
    fn drop(&mut self) {
        let mut queue = self.actor.announcer.0.borrow_mut();
        queue.workers = queue.workers.saturating_sub(1);
        if queue.workers == 0 {
            queue.batch = None;
        }
        match self.load.take() {
            Some(Load::User(user_id, pending)) => queue.put_back(&user_id, pending),
            Some(Load::Shard(shard)) => queue.put_back_shard(&shard),
            None => {}
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    pub(crate) fn start_workers(self: &Rc<Self>, most: usize) {
        for worker in self.claim_workers(most) {
            self.host.spawn(Box::pin(worker.work()));
        }
    }

    /// As many workers as the queue is worth, of at most `most` altogether.
    fn claim_workers(self: &Rc<Self>, most: usize) -> Vec<Worker<H>> {
        let mut queue = self.announcer.0.borrow_mut();
        let wanted = queue.order.len().min(most.saturating_sub(queue.workers));
        queue.workers += wanted;
        (0..wanted).map(|_| Worker { actor: Rc::clone(self), load: None }).collect()
    }

    /// A shard, if the queue is long enough for one; otherwise the next user.
    fn take_load(&self, head: &Head) -> Option<Load> {
        // Whoever cannot be put into a shard now is told singly.
        if let Ok(Some(shard)) = self.take_shard(head) {
            return Some(Load::Shard(shard));
        }
        let (user_id, pending) = self.announcer.0.borrow_mut().take_next()?;
        Some(Load::User(user_id, pending))
    }

    /// Tells one user what is pending.
    async fn deliver(&self, head: &Head, user_id: &OwnedUserId, pending: &Pending) -> DeliveryOutcome {
        let batch = pending.from.map(|from| self.batch(head, from)).transpose();
        let frame = batch.and_then(|batch| self.write_notice(head, user_id, pending, batch.as_deref()));
        match frame {
            Ok(Some(frame)) => tell_hub(&*self.host, user_id, frame).await,
            Ok(None) => DeliveryOutcome::Heard,
            Err(_) => DeliveryOutcome::Missed,
        }
    }

    /// The batch from a position on; the same one for everybody who stands at the same position.
    pub(crate) fn batch(&self, head: &Head, from: RoomSeq) -> Result<Rc<NoticeBatch>, SqlError> {
        let (kept, summary_changed) = {
            let queue = self.announcer.0.borrow();
            (queue.batch.clone(), queue.summary_changed)
        };
        if let Some(batch) = kept.filter(|batch| batch.serves(from, head.newest)) {
            return Ok(batch);
        }
        let batch = Rc::new(self.make_batch(head, from, summary_changed, MOST_EVENTS)?);
        self.announcer.0.borrow_mut().batch = Some(Rc::clone(&batch));
        Ok(batch)
    }

    /// Keeps the books after an attempt to tell `user_id` everything up to `head`.
    fn finish(&self, user_id: &OwnedUserId, pending: &Pending, outcome: DeliveryOutcome) -> Result<(), SqlError> {
        let queue = &mut *self.announcer.0.borrow_mut();
        if outcome == DeliveryOutcome::Idle && !queue.subscribed.contains(user_id) {
            self.store().drop_listener(user_id)?;
        }
        match pending.from {
            Some(_) if outcome != DeliveryOutcome::Missed => {
                queue.failures = 0;
                if queue.failed_recipients.contains_key(user_id) {
                    self.store().drop_failed_recipient(user_id.as_str())?;
                    queue.failed_recipients.remove(user_id);
                }
            }
            Some(from) => {
                self.retry_later(queue);
                if queue.failed_recipients.get(user_id) != Some(&from) {
                    self.store().put_failed_recipient(user_id.as_str(), from)?;
                }
                queue.lag(user_id, from);
            }
            None => {}
        }
        queue.delivered = queue.delivered.saturating_add(1);
        queue.land(user_id);
        Ok(())
    }

    /// Somebody could not be told.
    pub(crate) fn retry_later(&self, queue: &mut DeliveryQueue) {
        queue.failures = queue.failures.saturating_add(1);
        queue.retry_at = Some(queue.retry_at.unwrap_or(backed_off(self.host.now(), queue.failures, RETRY)));
    }
}

impl<H: ObjectHost> Worker<H> {
    /// Delivers until nobody is left in the queue.
    async fn work(mut self) {
        let actor = Rc::clone(&self.actor);
        // What has just been committed is queued first: the frame reaches to the newest event.
        while let (Ok(()), Ok(Some(head))) = (actor.absorb(), actor.head()) {
            let Some(load) = actor.take_load(&head) else { break };
            if self.deliver(&head, load).await.is_err() {
                // The failure could not be written down: it goes back to the queue, and the alarm comes back to it.
                break;
            }
            self.load = None;
            actor.move_announced();
            // Answers of those who were told leave now, and what others send meanwhile goes along with the next notices.
            if !actor.announcer.0.borrow().order.is_empty() {
                actor.host.yield_now().await;
            }
        }
    }

    async fn deliver(&mut self, head: &Head, load: Load) -> Result<(), SqlError> {
        let actor = Rc::clone(&self.actor);
        match self.load.insert(load) {
            Load::User(user_id, pending) => {
                let outcome = actor.deliver(head, user_id, pending).await;
                actor.finish(user_id, pending, outcome)
            }
            Load::Shard(shard) => {
                let outcomes = actor.deliver_shard(shard).await;
                actor.finish_shard(shard, &outcomes)?;
                // Workers who found nobody to tell meanwhile have gone.
                actor.start_workers(WORKERS);
                Ok(())
            }
        }
    }
}
