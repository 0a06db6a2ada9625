//! One alarm for everything that is not done yet.

use std::rc::Rc;

use tern_model::Millis;
use tern_ports::{ObjectHost, SqlError};

use crate::RoomActor;

/// Announcing and forwarding start with the reply; the alarm looks after them this much later. Shorter than the ten
/// seconds after which an idle object loses its memory.
const LEFTOVERS_MS: u64 = 5_000;

/// Never sooner than this, so that an alarm does not chase itself.
const SOON_MS: u64 = 1_000;

impl<H: ObjectHost> RoomActor<H> {
    /// Called when the alarm is due: writes what is only in memory, takes up what was left, and asks for the next alarm.
    /// What it takes up it does not wait for: the next alarm looks after that.
    pub async fn alarm(self: &Rc<Self>) {
        self.alarm.rang();
        let cold = !self.awake.replace(true);
        let now = self.host.now();
        match self.head() {
            Ok(None) => return,
            Ok(Some(_)) => {}
            Err(_) => return self.request_alarm(now.plus(LEFTOVERS_MS)).await,
        }
        let worked_off = self.work_off(cold, now);
        let sent = self.send_delayed(now).await;
        let again = worked_off.and(sent).is_err().then(|| now.plus(LEFTOVERS_MS));
        if let Some(at) = [again, self.next_due(now)].into_iter().flatten().min() {
            self.request_alarm(at).await;
        }
    }

    /// Does every duty, whatever becomes of the others. The error of one that failed, which is due again.
    fn work_off(self: &Rc<Self>, cold: bool, now: Millis) -> Result<(), SqlError> {
        let told = self.retry_failed_recipients(now);
        let written = self.flush_receipts();
        if cold && self.failed_recipients_due(now).is_none() {
            self.forget_typing();
        } else {
            self.expire_typing();
        }
        self.follow_up();
        let expired = self.expire_sticky(now);
        let filling = self.start_filling(now);
        told.and(written).and(expired).and(filling).and(self.save_cursors())
    }

    /// Sees to it that what follows from a commit is resumed if this object dies after the reply.
    pub(crate) async fn arm_for_leftovers(&self) {
        if self.has_leftovers() {
            self.request_alarm(self.host.now().plus(LEFTOVERS_MS)).await;
        }
    }

    /// Asks for an alarm, unless an earlier one stands.
    pub(crate) async fn request_alarm(&self, at: Millis) {
        self.alarm.set(&*self.host, at).await;
    }

    fn has_leftovers(&self) -> bool {
        let Ok(Some(head)) = self.head() else { return false };
        let saved = self.saved.get() == (head.forwarded, head.announced);
        let done = head.forwarded >= head.newest && head.announced >= head.newest;
        !(saved && done) || self.failed_recipients_due(Millis::default()).is_some()
    }

    fn next_due(&self, now: Millis) -> Option<Millis> {
        let behind = self.head().ok().flatten().is_some_and(|head| head.announced < head.newest);
        let alarms = [
            behind.then_some(now.plus(LEFTOVERS_MS)),
            self.forward_due().map(|due| due.max(now.plus(SOON_MS))),
            self.failed_recipients_due(now.plus(LEFTOVERS_MS)).map(|due| due.max(now.plus(SOON_MS))),
            self.typing_due(),
            // What is still due could not be written.
            self.receipts_due().map(|due| if due > now { due } else { now.plus(LEFTOVERS_MS) }),
            self.gaps_due().map(|due| due.max(now.plus(SOON_MS))),
            // What is still due could not be sent.
            self.delayed_due().map(|due| if due > now { due } else { now.plus(SOON_MS) }),
        ];
        alarms.into_iter().flatten().min()
    }
}
