//! Who is in the room, for those who follow each other's devices.

use std::{collections::BTreeSet, rc::Rc};

use ruma::OwnedUserId;
use tern_model::{MatrixError, RoomSeq};
use tern_ports::{ObjectHost, SqlError, wire::room::ReadJoinedUsers};

use crate::{RoomActor, delivery::servers::in_small_letters, refusal::not_in_room, timeline::head::Head};

impl<H: ObjectHost> RoomActor<H> {
    /// Local members, for one of them, and one member of each other server that is told of the room.
    pub(crate) fn read_joined_users(&self, request: &ReadJoinedUsers) -> Result<Vec<OwnedUserId>, MatrixError> {
        self.room()?;
        let (mut members, mut asks_one, mut servers) = (Vec::new(), false, BTreeSet::new());
        for (member, _) in self.store().joined(None)? {
            if member == request.user_id {
                asks_one = true;
            } else if self.is_local(&member)
                || self.is_told(member.server_name()) && servers.insert(in_small_letters(member.server_name())?)
            {
                members.push(member);
            }
        }
        if asks_one { Ok(members) } else { Err(not_in_room()) }
    }

    /// Members' hubs keep with whom they share the room: in all rooms but large ones that are not encrypted, of which nobody
    /// needs to know it and where it would be as many rows as there are pairs of members.
    pub(crate) fn is_followed(&self, head: &Head) -> Result<bool, SqlError> {
        Ok(!head.large || self.encrypted_at()?.is_some())
    }

    /// From `from` on members' hubs have to know who is in the room, and did not before.
    pub(crate) fn is_followed_since(&self, head: &Head, from: RoomSeq) -> Result<bool, SqlError> {
        Ok(head.large && self.encrypted_at()?.is_some_and(|encrypted| encrypted >= from))
    }

    fn encrypted_at(&self) -> Result<Option<RoomSeq>, SqlError> {
        Ok(self.store().state("m.room.encryption", "")?.map(|event| event.seq))
    }

    /// All members.
    pub(crate) fn all_joined(&self) -> Result<Rc<Vec<OwnedUserId>>, SqlError> {
        Ok(Rc::new(self.store().joined(None)?.into_iter().map(|(member, _)| member).collect()))
    }
}
