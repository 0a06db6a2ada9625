//! People who begin to share a room while they are there (Client-Server API, "Presence").
//!
//! Both hubs hear of the join, one after the other, and whichever hears of it last is believed by the other one. So both
//! tell, and one of the two exchanges succeeds.

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedUserId, UserId};
use tern_model::{MatrixError, Presence};
use tern_ports::{ObjectHost, Sql, WaitingPolls};

use super::{UserActor, presence::MOST_TOLD, store::shared_users};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Whether whoever comes into a room of so many is to be told of this user, and this user of them: when there is
    /// something to show, or somebody who looks. In larger rooms only the one who comes tells, and not everybody.
    pub(super) fn makes_acquaintances(&self, members: u64) -> Result<bool, MatrixError> {
        if !self.config.accounts.presence || members > MOST_TOLD {
            return Ok(false);
        }
        Ok(self.is_active() || self.present()?.presence != Presence::Offline)
    }

    /// Of `users`, who are about to share a room with this one, those who share none yet are told after the reply.
    pub(super) fn make_acquaintance<'a>(
        &self,
        sql: &impl Sql,
        users: impl Iterator<Item = &'a UserId>,
    ) -> Result<(), MatrixError> {
        for user_id in users.filter(|user_id| user_id.server_name() == self.config.server_name) {
            if self.met.borrow().len() as u64 >= MOST_TOLD {
                break;
            }
            if !shared_users::any(sql, user_id)? {
                self.met.borrow_mut().insert(user_id.to_owned());
            }
        }
        Ok(())
    }

    /// Forgets what those of `users` show with whom no room is shared any more.
    pub(super) fn lose_sight(&self, sql: &impl Sql, users: &[OwnedUserId]) -> Result<(), MatrixError> {
        for user_id in users {
            if self.others.borrow().holds(user_id) && !shared_users::any(sql, user_id)? {
                self.others.borrow_mut().forget(user_id);
            }
        }
        Ok(())
    }

    /// Tells what there is to tell of presence, after the reply.
    pub(super) fn spread_presence(self: &Rc<Self>) {
        let met = self.met.take();
        if self.untold.take() {
            self.host.spawn(Box::pin(Rc::clone(self).tell_presence()));
        }
        if !met.is_empty() {
            self.host.spawn(Box::pin(Rc::clone(self).greet(met)));
        }
    }

    async fn greet(self: Rc<Self>, met: BTreeSet<OwnedUserId>) {
        if let Ok(note) = self.present() {
            self.exchange_presence(note, met.into_iter().collect()).await;
        }
    }
}
