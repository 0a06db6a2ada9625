//! One alarm for everything that was left for later.

use std::rc::Rc;

use tern_model::Millis;
use tern_ports::{ObjectHost, WaitingPolls};

use super::UserActor;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Called when the alarm is due.
    pub async fn alarm(self: &Rc<Self>) {
        self.alarm.rang();
        if self.ready.get() {
            Rc::clone(self).take_up().await;
            self.spread_presence();
            self.answer_waiting();
        }
    }

    /// Takes up unfinished work. What has to be left again wishes for the next alarm itself.
    pub(super) async fn take_up(self: Rc<Self>) {
        if self.has_unsubscribed.get() && self.is_active() {
            // It wishes for the next alarm itself, too.
            let _ = self.subscribe().await;
        }
        self.expire_sticky(self.host.now());
        let (profile, devices, missed) = (Rc::clone(&self), Rc::clone(&self), Rc::clone(&self));
        let work = (
            profile.carry_profile(),
            devices.announce_devices(),
            missed.count_missed(usize::MAX),
            self.check_presence(),
        );
        futures::future::join4(work.0, work.1, work.2, work.3).await;
    }

    /// Asks for an alarm, unless an earlier one stands.
    pub(crate) async fn request_alarm(&self, at: Millis) {
        self.alarm.set(&*self.host, at).await;
    }
}
