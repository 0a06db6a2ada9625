//! Templates of the events by which users of other servers join, leave and knock.

use tern_model::{Handshake, MatrixError};
use tern_ports::{
    ObjectHost,
    wire::handshake::{MakeMember, MemberTemplate},
};
use tern_room::{HandshakeError, Version, resident};

use super::condition::Joined;
use crate::RoomActor;

impl<H: ObjectHost> RoomActor<H> {
    /// Makes the event that the user's server completes.
    pub(crate) async fn make_member(&self, request: MakeMember) -> Result<MemberTemplate, MatrixError> {
        let MakeMember { origin, handshake, user_id, versions } = request;
        if !user_id.server_name().as_str().eq_ignore_ascii_case(origin.as_str()) {
            return Err(HandshakeError::OtherServer.into());
        }
        let head = self.room_for(&origin)?;
        if handshake != Handshake::Leave && !versions.iter().any(|version| version.as_str() == head.version.id) {
            return Err(incompatible(head.version));
        }
        let joined = match handshake {
            Handshake::Join => self.allowed_rooms_of(&head, &user_id).await?,
            Handshake::Leave | Handshake::Knock => Joined::default(),
        };
        // Others may have changed the room meanwhile.
        let view = self.view(&self.room_for(&origin)?);
        let who = (&*user_id, &*self.config.server_name);
        let event = resident::template(&view, handshake, who, self.host.now(), |room_id| joined.is_in(room_id));
        let event = event.map_err(|error| joined.refusal(error))?;
        Ok(MemberTemplate { room_version: head.version.id.to_owned(), event })
    }
}

fn incompatible(version: &Version) -> MatrixError {
    let error = MatrixError::new(400, "M_INCOMPATIBLE_ROOM_VERSION", "The server does not know the room's version");
    let body = [("room_version".to_owned(), version.id.into())].into_iter().collect();
    MatrixError { body: Some(body), ..error }
}
