//! Whether a server and its user may come through this one: the access control list, and the rooms whose members may join.

use std::rc::Rc;

use futures::future::join_all;
use ruma::{OwnedRoomId, RoomId, ServerName, UserId};
use tern_model::MatrixError;
use tern_ports::{
    ObjectHost, ask_room,
    wire::{
        handshake::CheckJoined,
        invite::{CheckInvite, InvitePlace},
    },
};
use tern_room::{HandshakeError, MembershipError, RoomView as _, acl, membership::allowed_rooms};

use crate::{
    RoomActor,
    timeline::{head::Head, view::Transaction},
};

/// Rooms that are asked, at most, whether the user is in one of them.
const MOST_ROOMS: usize = 12;

/// In which of the rooms whose members may join a user is.
#[derive(Default)]
pub(super) struct Joined {
    rooms: Vec<OwnedRoomId>,
    /// Of some it cannot be told from here.
    unclear: bool,
}

impl Joined {
    pub(super) fn is_in(&self, room_id: &RoomId) -> bool {
        self.rooms.iter().any(|joined| joined == room_id)
    }

    /// What somebody is told who may not come. Where this server cannot know, another one may.
    pub(super) fn refusal(&self, error: HandshakeError) -> MatrixError {
        match error {
            HandshakeError::Membership(MembershipError::InNoAllowedRoom) if self.unclear => MatrixError::new(
                400,
                "M_UNABLE_TO_AUTHORISE_JOIN",
                "This server is not in a room that lets the user in",
            ),
            error => error.into(),
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// The room, if somebody of this server is in it, and it lets the other one take part.
    pub(crate) fn room_for(&self, origin: &ServerName) -> Result<Rc<Head>, MatrixError> {
        let not_here = || MatrixError::not_found("There is no such room here");
        let head = self.head()?.ok_or_else(not_here)?;
        let tx = self.view(&head);
        if !tx.has_joined(&self.config.server_name)? {
            return Err(not_here());
        }
        if acl::allows(&tx, origin)? { Ok(head) } else { Err(MatrixError::forbidden("The room keeps this server out")) }
    }

    /// The room as the rules see it now.
    pub(crate) fn view(&self, head: &Rc<Head>) -> Transaction<'_, H::Sql> {
        Transaction::new(&self.room_id, self.host.sql(), &self.cache, Head::clone(head))
    }

    /// In which of the rooms whose members may join the user is. Nobody is asked of one who needs none of them.
    pub(super) async fn allowed_rooms_of(&self, head: &Rc<Head>, user_id: &UserId) -> Result<Joined, MatrixError> {
        let membership = self.store().membership(user_id.as_str())?;
        if membership.is_some_and(|(_, membership)| matches!(membership.as_str(), "join" | "invite")) {
            return Ok(Joined::default());
        }
        let rooms = allowed_rooms(&self.view(head))?;
        let asked = rooms.into_iter().filter(|room_id| *room_id != self.room_id).take(MOST_ROOMS);
        let answers = join_all(asked.map(async |room_id| {
            let asked = ask_room(&*self.host, &room_id, CheckJoined { user_id: user_id.to_owned() }).await;
            (room_id, asked.ok().flatten())
        }));
        let mut joined = Joined::default();
        for (room_id, is_joined) in answers.await {
            joined.unclear |= is_joined.is_none();
            joined.rooms.extend(is_joined.unwrap_or_default().then_some(room_id));
        }
        Ok(joined)
    }

    /// Whether an invite from a server is this room's business.
    pub(crate) fn check_invite(&self, request: &CheckInvite) -> Result<InvitePlace, MatrixError> {
        let Some(head) = self.head()? else { return Ok(InvitePlace { here: false }) };
        let view = self.view(&head);
        if acl::allows(&view, &request.origin)? {
            Ok(InvitePlace { here: view.has_joined(&self.config.server_name)? })
        } else {
            Err(MatrixError::forbidden("The room keeps this server out"))
        }
    }

    /// Whether a user is joined, for another room of this server.
    pub(crate) fn tell_joined(&self, request: &CheckJoined) -> Result<Option<bool>, MatrixError> {
        let Some(_) = self.head()? else { return Ok(None) };
        if !self.store().has_joined(self.config.server_name.as_str())? {
            return Ok(None);
        }
        let membership = self.store().membership(request.user_id.as_str())?;
        Ok(Some(membership.is_some_and(|(_, membership)| membership == "join")))
    }
}
