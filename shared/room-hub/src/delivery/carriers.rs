//! Working on the queue: each carrier tells one user after the other, or has a relay tell a share of them.

use std::rc::Rc;

use ruma::OwnedUserId;
use tern_model::RoomSeq;
use tern_ports::{ObjectHost, SqlError, wire::relay::Told};

use tern_object_kit::alarm::backed_off;

use crate::{
    RoomActor,
    delivery::{
        bundle::{Bundle, MOST_EVENTS},
        desk::{Desk, Pending},
        shares::Share,
    },
    timeline::store::Head,
};
use tern_object_kit::fan_out::tell_hub;

/// Hubs told at once; the platform allows six connections.
pub(crate) const CARRIERS: usize = 6;

/// Carriers more, for whoever must be told before a reply.
pub(crate) const URGENT_CARRIERS: usize = 2;

/// Delays between attempts to tell laggards.
const RETRY: (u64, u64) = (5_000, 600_000);

/// Works on the queue. When it is dropped on the way, what it carried goes back.
struct Carrier<H: ObjectHost> {
    actor: Rc<RoomActor<H>>,
    load: Option<Load>,
}

/// What a carrier is about.
enum Load {
    User(OwnedUserId, Pending),
    Share(Share),
}

impl<H: ObjectHost> Drop for Carrier<H> {
    fn drop(&mut self) {
        let mut desk = self.actor.announcer.0.borrow_mut();
        desk.carriers = desk.carriers.saturating_sub(1);
        if desk.carriers == 0 {
            desk.bundle = None;
        }
        match self.load.take() {
            Some(Load::User(user_id, pending)) => desk.put_back(&user_id, pending),
            Some(Load::Share(share)) => desk.put_back_share(&share),
            None => {}
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    pub(crate) fn start_carriers(self: &Rc<Self>, most: usize) {
        for carrier in self.hire(most) {
            self.host.spawn(Box::pin(carrier.work()));
        }
    }

    /// As many carriers as the queue is worth, of at most `most` altogether.
    fn hire(self: &Rc<Self>, most: usize) -> Vec<Carrier<H>> {
        let mut desk = self.announcer.0.borrow_mut();
        let wanted = desk.order.len().min(most.saturating_sub(desk.carriers));
        desk.carriers += wanted;
        (0..wanted).map(|_| Carrier { actor: Rc::clone(self), load: None }).collect()
    }

    /// A share, if the queue is long enough for one; otherwise the next user.
    fn take_load(&self, head: &Head) -> Option<Load> {
        // Whoever cannot be put into a share now is told singly.
        if let Ok(Some(share)) = self.take_share(head) {
            return Some(Load::Share(share));
        }
        let (user_id, pending) = self.announcer.0.borrow_mut().take_next()?;
        Some(Load::User(user_id, pending))
    }

    /// Tells one user what is pending.
    async fn carry(&self, head: &Head, user_id: &OwnedUserId, pending: &Pending) -> Told {
        let bundle = pending.from.map(|from| self.bundle(head, from)).transpose();
        let frame = bundle.and_then(|bundle| self.write_notice(head, user_id, pending, bundle.as_deref()));
        match frame {
            Ok(Some(frame)) => tell_hub(&*self.host, user_id, frame).await,
            Ok(None) => Told::Heard,
            Err(_) => Told::Missed,
        }
    }

    /// The bundle from a position on; the same one for everybody who stands at the same position.
    pub(crate) fn bundle(&self, head: &Head, from: RoomSeq) -> Result<Rc<Bundle>, SqlError> {
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
                if desk.laggards.contains_key(user_id) {
                    self.store().drop_laggard(user_id.as_str())?;
                    desk.laggards.remove(user_id);
                }
            }
            Some(from) => {
                self.retry_later(desk);
                if desk.laggards.get(user_id) != Some(&from) {
                    self.store().put_laggard(user_id.as_str(), from)?;
                }
                desk.lag(user_id, from);
            }
            None => {}
        }
        desk.delivered = desk.delivered.saturating_add(1);
        desk.land(user_id);
        Ok(())
    }

    /// Somebody could not be told.
    pub(crate) fn retry_later(&self, desk: &mut Desk) {
        desk.failures = desk.failures.saturating_add(1);
        desk.retry_at = Some(desk.retry_at.unwrap_or(backed_off(self.host.now(), desk.failures, RETRY)));
    }
}

impl<H: ObjectHost> Carrier<H> {
    /// Delivers until nobody is left in the queue.
    async fn work(mut self) {
        let actor = Rc::clone(&self.actor);
        // What has just been committed is queued first: the frame reaches to the newest event.
        while let (Ok(()), Ok(Some(head))) = (actor.absorb(), actor.head()) {
            let Some(load) = actor.take_load(&head) else { break };
            if self.carry(&head, load).await.is_err() {
                // The failure could not be written down: it goes back to the queue, and the alarm comes back to it.
                break;
            }
            self.load = None;
            actor.move_announced();
            // Answers of those who were told leave now, and what others send meanwhile goes along with the next notices.
            if !actor.announcer.0.borrow().order.is_empty() {
                actor.host.breathe().await;
            }
        }
    }

    async fn carry(&mut self, head: &Head, load: Load) -> Result<(), SqlError> {
        let actor = Rc::clone(&self.actor);
        match self.load.insert(load) {
            Load::User(user_id, pending) => {
                let told = actor.carry(head, user_id, pending).await;
                actor.finish(user_id, pending, told)
            }
            Load::Share(share) => {
                let told = actor.carry_share(share).await;
                actor.finish_share(share, &told)?;
                // Carriers who found nobody to tell meanwhile have gone.
                actor.start_carriers(CARRIERS);
                Ok(())
            }
        }
    }
}
