//! Events that servers hand over, by which their users join, leave and knock: checked like every event, and beyond that.

use std::rc::Rc;

use ruma::{EventId, ServerName};
use tern_model::{MatrixError, Pdu};
use tern_ports::{
    ObjectHost,
    wire::{
        handshake::{SendMember, SentMember},
        receive::PduResult,
    },
};
use tern_room::{HandedOver, HandshakeError};

use super::condition::Joined;
use crate::{
    RoomActor,
    graph::{batch::Batch, genuine::Keys},
};

impl<H: ObjectHost> RoomActor<H> {
    /// Takes the event in, and says what its server needs to know of the room. It answers when the event is durable.
    pub(crate) async fn send_member(self: &Rc<Self>, request: SendMember) -> Result<SentMember, MatrixError> {
        let SendMember { origin, handshake, event_id, event, keys, omit_members } = request;
        let head = self.room_for(&origin)?;
        let place = (head.version, &*self.room_id);
        let handed = HandedOver::read(place, &event, &event_id, handshake, &origin).map_err(MatrixError::from)?;
        if !self.is_in_timeline(&event_id)? {
            self.take_share(&origin, 1)?;
            let keys = Keys::read(&keys, self.host.now())?;
            let pdu = self.checked(&origin, handed, keys).await?;
            self.take_one(pdu).await?;
        }
        self.answer_member(handshake, &event_id, omit_members).await
    }

    fn is_in_timeline(&self, event_id: &EventId) -> Result<bool, MatrixError> {
        Ok(matches!(self.result_of(event_id)?, Some(PduResult::Accepted)))
    }

    /// The event, signed by whoever must have signed it: by this server, too, where one of its users lets the sender in.
    async fn checked(&self, origin: &ServerName, handed: HandedOver, keys: Keys) -> Result<Pdu, MatrixError> {
        let own = &self.config.server_name;
        let joined = match handed.let_in_by(own) {
            Some(user_id) => self.allowed_rooms_of(&self.room_for(origin)?, user_id).await?,
            None => Joined::default(),
        };
        let head = self.room_for(origin)?;
        let signer = self.signer()?;
        let vouched = handed.vouched(&self.view(&head), signer, |room_id| joined.is_in(room_id));
        let vouched = vouched.map_err(|error| joined.refusal(error))?;
        let keys = keys.with_own(own, &self.config.signing_key_id, signer);
        let received = keys.received(head.version, vouched.into_unverified()).map_err(HandshakeError::from)?;
        if received.redacted { Err(HandshakeError::Altered.into()) } else { Ok(received.pdu) }
    }

    /// Has the event taken in; whatever else becomes of it than that it is part of the room is a refusal.
    async fn take_one(self: &Rc<Self>, pdu: Pdu) -> Result<(), MatrixError> {
        let event_id = pdu.id().to_owned();
        let batch = Rc::new(Batch::of(vec![pdu], Vec::new()));
        batch.passed_on.set(true);
        self.take_batch(&batch).await?;
        let result = batch.results.take().remove(&event_id);
        match result {
            Some(PduResult::Accepted) => Ok(()),
            Some(PduResult::Rejected(reason) | PduResult::SoftFailed(reason) | PduResult::Dropped(reason)) => {
                Err(MatrixError::forbidden(reason))
            }
            Some(PduResult::Missing(_)) => {
                Err(MatrixError::invalid_param("The event stands on events that are not known here"))
            }
            Some(PduResult::Deferred(_) | PduResult::Outlier) | None => Err(MatrixError::unavailable()),
        }
    }
}
