//! The number of unread rooms, told when it falls: whoever reads on one device clears the badges of the others. Best
//! effort, since the next notification carries the number as well; nothing is stored and nothing tried again.

use std::rc::Rc;

use tern_model::MatrixError;
use tern_ports::{ObjectHost, WaitingPolls};
use tern_push::{
    gateway::{self, PusherData},
    queue::Outcome,
};

use super::Live;
use crate::UserActor;

/// So long after the last change it is told, in milliseconds.
const QUIET_MS: u64 = 2_000;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The number has fallen, and may fall further.
    pub(super) fn leave_badge(self: &Rc<Self>) {
        self.push.badge_at.set(Some(self.host.now().plus(QUIET_MS)));
        if !self.push.badge_waits.replace(true) {
            self.host.spawn(Box::pin(Rc::clone(self).tell_badge()));
        }
    }

    async fn tell_badge(self: Rc<Self>) {
        while let Some(at) = self.push.badge_at.get() {
            let left = at.since(self.host.now());
            if left == 0 {
                break;
            }
            self.host.sleep(left).await;
        }
        self.push.badge_waits.set(false);
        // What cannot be read now is told with the next notification.
        let _ = self.tell_badges().await;
    }

    async fn tell_badges(&self) -> Result<(), MatrixError> {
        let unread = self.unread_rooms()?;
        for live in self.live_pushers()?.iter() {
            let data = PusherData::read(&live.row.data);
            let known = live.state.told.get() == Some(unread);
            if known || data.no_counts || live.state.progress.get().outage.is_some() {
                continue;
            }
            self.tell_one(live, &data, unread).await?;
        }
        Ok(())
    }

    async fn tell_one(&self, live: &Live, data: &PusherData, unread: u64) -> Result<(), MatrixError> {
        let body = gateway::badge(&live.device(data), unread);
        let (outcome, gone) = self.ask_gateway(live, data, body).await;
        if gone {
            return self.drop_pusher(&live.row.app_id, &live.row.pushkey);
        }
        if outcome == Outcome::Delivered {
            live.state.told.set(Some(unread));
        }
        Ok(())
    }
}
