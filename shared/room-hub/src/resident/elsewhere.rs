//! Rooms in which nobody of this server is: what is known of them is old, and who wants in has to go through a server that
//! is in the room.

use ruma::{OwnedServerName, UserId, events::StateEventType};
use tern_model::{BoundedVec, MatrixError};
use tern_ports::{
    ObjectHost, SqlError,
    wire::adopt::{ListResidents, Residents},
};
use tern_room::{RoomView as _, auth::membership_of};

use crate::{RoomActor, delivery::servers::in_small_letters};

impl<H: ObjectHost> RoomActor<H> {
    /// Others are in the room, and nobody of this server is.
    pub(crate) fn is_elsewhere(&self) -> Result<bool, SqlError> {
        let own = self.config.server_name.as_str();
        Ok(self.has_other_servers()? && !self.store().has_joined(own)?)
    }

    /// The servers that were in the room when it was last known.
    pub(crate) fn list_residents(&self, request: &ListResidents) -> Result<Residents, MatrixError> {
        let Some(head) = self.head()? else { return Ok(Residents::default()) };
        let mut residents: Vec<OwnedServerName> = self.inviter_of(&head, &request.user_id)?.into_iter().collect();
        residents.extend(self.store().joined_servers()?);
        Ok(BoundedVec::cut(residents))
    }

    /// The server of whoever has invited the user.
    fn inviter_of(
        &self,
        head: &std::rc::Rc<crate::timeline::head::Head>,
        user_id: &UserId,
    ) -> Result<Option<OwnedServerName>, MatrixError> {
        let member = self.view(head).state(&StateEventType::RoomMember, user_id.as_str())?;
        let invite = member.filter(|member| membership_of(member).is_ok_and(|membership| membership == "invite"));
        Ok(invite.map(|invite| in_small_letters(invite.from().server_name())).transpose()?)
    }
}
