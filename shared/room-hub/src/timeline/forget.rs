//! Forgetting: somebody who has left gives up what they could still read.

use tern_model::MatrixError;
use tern_ports::{
    ObjectHost,
    wire::{Done, room::ForgetMember},
};

use crate::{RoomActor, refusal::not_in_room};

impl<H: ObjectHost> RoomActor<H> {
    /// From now on the user reads nothing here, until the next change of membership.
    pub(crate) fn forget_member(&self, request: &ForgetMember) -> Result<Done, MatrixError> {
        self.room()?;
        let user_id = request.user_id.as_str();
        match self.store().membership(user_id)? {
            None => Err(not_in_room()),
            Some((_, membership)) if membership == "leave" || membership == "ban" => {
                self.store().forget(user_id)?;
                Ok(Done {})
            }
            Some(_) => Err(MatrixError::new(400, "M_UNKNOWN", "You must leave the room before forgetting it")),
        }
    }
}
