//! Who is in the room, for those who follow each other's devices.

use std::rc::Rc;

use ruma::OwnedUserId;
use tern_model::MatrixError;
use tern_ports::{ObjectHost, SqlError, wire::room::ReadJoinedUsers};

use crate::{RoomActor, refusal::not_in_room};

impl<H: ObjectHost> RoomActor<H> {
    /// Local members, for one of them.
    pub(crate) fn read_joined_users(&self, request: &ReadJoinedUsers) -> Result<Vec<OwnedUserId>, MatrixError> {
        self.room()?;
        let (mut members, mut asks_one) = (Vec::new(), false);
        for (member, _) in self.store().joined(None)? {
            if member == request.user_id {
                asks_one = true;
            } else if self.is_local(&member) {
                members.push(member);
            }
        }
        if asks_one { Ok(members) } else { Err(not_in_room()) }
    }

    /// All members.
    pub(crate) fn all_joined(&self) -> Result<Rc<Vec<OwnedUserId>>, SqlError> {
        Ok(Rc::new(self.store().joined(None)?.into_iter().map(|(member, _)| member).collect()))
    }
}
