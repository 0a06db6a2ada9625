//! One alarm for everything that was left for later: duties that know nothing of each other, each with its own time. What
//! becomes of one is nothing to the others.

use std::rc::Rc;

use futures::future::join_all;
use tern_model::Millis;
use tern_object_kit::duties::{self, Outcome};
use tern_ports::{ObjectHost, WaitingPolls};

use super::UserActor;

/// What the alarm sees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// large rooms that the hub does not hear of are subscribed to.
    Subscription,
    /// Sticky events that have expired are dropped.
    Sticky,
    /// A changed profile is carried into rooms.
    Profile,
    /// Changed keys are copied, and changed devices announced.
    Devices,
    /// What was missed is counted.
    Missed,
    /// Whether the user is still there.
    Presence,
    /// What notifies is handed over to pushers.
    Push,
}

/// The duties of a hub.
pub(crate) type Duties = duties::Duties<{ Duty::ALL.len() }>;

impl Duty {
    pub(crate) const ALL: [Self; 7] =
        [Self::Subscription, Self::Sticky, Self::Profile, Self::Devices, Self::Missed, Self::Presence, Self::Push];

    /// Shortest and longest pause after failures in a row, in milliseconds.
    const fn pauses(self) -> (u64, u64) {
        match self {
            Self::Subscription => (5_000, 60_000),
            Self::Missed => (30_000, 600_000),
            Self::Sticky | Self::Profile | Self::Devices | Self::Presence | Self::Push => (5_000, 600_000),
        }
    }
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Called when the alarm is due.
    pub async fn alarm(self: &Rc<Self>) {
        self.alarm.rang();
        if self.ready.get() {
            Rc::clone(self).take_up().await;
            self.after_push().await;
            self.spread_presence();
            self.answer_waiting();
        }
    }

    /// Sees to what is due, at once: none waits for another.
    pub(super) async fn take_up(self: Rc<Self>) {
        let now = self.host.now();
        // The alarm of those whose time has not come yet may be the one that rang.
        if let Some(at) = self.duties.next_after(now) {
            self.alarm.set(&*self.host, at).await;
        }
        let due = Duty::ALL.into_iter().filter(|duty| self.duties.is_due(*duty as usize, now));
        join_all(due.map(|duty| Rc::clone(&self).see_to(duty))).await;
    }

    /// Sees to one duty, and to it that it is seen to again.
    pub(crate) async fn see_to(self: Rc<Self>, duty: Duty) {
        self.duties.begin(duty as usize);
        let outcome = match duty {
            Duty::Subscription => self.subscribe_if_active().await,
            Duty::Sticky => self.expire_sticky(self.host.now()),
            Duty::Profile => self.carry_profile().await,
            Duty::Devices => self.announce_devices().await,
            Duty::Missed => self.count_missed(usize::MAX).await,
            Duty::Presence => self.check_presence().await,
            Duty::Push => self.look_after_push().unwrap_or(Outcome::Failed),
        };
        self.end(duty, outcome).await;
    }

    /// A duty has been done, or not.
    pub(crate) async fn end(&self, duty: Duty, outcome: Outcome) {
        if let Some(at) = self.duties.end(duty as usize, outcome, self.host.now(), duty.pauses()) {
            self.alarm.set(&*self.host, at).await;
        }
    }

    /// Leaves a duty for later.
    pub(crate) async fn leave(&self, duty: Duty, at: Millis) {
        self.duties.leave(duty as usize, at);
        self.alarm.set(&*self.host, at).await;
    }
}
