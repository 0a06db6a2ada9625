//! Where the event of a receipt is: its position in the room, and the thread it is in.

use ruma::{EventId, OwnedEventId, UserId};
use tern_model::{MatrixError, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, ask_storage,
    wire::{room::ReceiptDraft, storage::LoadEvent},
};
use tern_room::thread::{MOST_STEPS, Place, fits, place};

use crate::RoomActor;

impl<H: ObjectHost> RoomActor<H> {
    /// Position of the event that was read; nothing for an event the room does not have, or cannot look for now: such a
    /// receipt is not worth an error, since the next one says more.
    pub(crate) async fn receipt_position(
        &self,
        user_id: &UserId,
        draft: &ReceiptDraft,
    ) -> Result<Option<RoomSeq>, MatrixError> {
        if draft.thread_id.is_none()
            && let Some(seq) = self.store().seq_of(draft.event_id.as_str())?
        {
            return Ok(Some(seq));
        }
        let Ok(Some(event)) = self.look_up(user_id, &draft.event_id).await else { return Ok(None) };
        let Some(thread_id) = &draft.thread_id else { return Ok(Some(event.seq)) };
        if fits(thread_id, &draft.event_id, &self.place_of(user_id, &event).await) {
            return Ok(Some(event.seq));
        }
        Err(MatrixError::invalid_param("The event is not in the thread that `thread_id` names"))
    }

    /// Where an event is, by what it relates to.
    async fn place_of(&self, user_id: &UserId, event: &StoredEvent) -> Place {
        let mut at = place(event);
        for _ in 0..MOST_STEPS {
            let Place::With(related) = &at else { break };
            at = match self.look_up(user_id, related).await {
                Ok(Some(event)) => place(&event),
                Ok(None) => Place::Main,
                Err(_) => break,
            };
        }
        at
    }

    async fn look_up(&self, user_id: &UserId, event_id: &EventId) -> Result<Option<StoredEvent>, MatrixError> {
        let here = self.store().event(event_id.as_str())?;
        if here.is_some() || self.room()?.tail.0 == 0 {
            return Ok(here);
        }
        let (room_id, event_id): (_, OwnedEventId) = (self.room_id.clone(), event_id.to_owned());
        let load = LoadEvent { room_id, event_id, user_id: user_id.to_owned() };
        Ok(ask_storage(&*self.host, load).await?.map(|loaded| loaded.event))
    }
}
