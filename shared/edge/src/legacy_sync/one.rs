//! `GET /events/{eventId}`: an event of whatever room.

use std::collections::BTreeSet;

use ruma::OwnedEventId;
use tern_model::{Caller, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_storage, ask_user,
    wire::{
        places::{FindRecent, LocateEvent},
        room::ReadEvent,
        user::SessionRef,
    },
};

use crate::ignored;

/// The event, if the caller may see it.
///
/// # Errors
/// 404 when there is none, or none for the caller: which of both does not show.
pub async fn event(
    edge: &impl Transport,
    caller: &Caller,
    session: SessionRef,
    event_id: OwnedEventId,
) -> Result<RawJson, MatrixError> {
    let user_id = &caller.user_id;
    let stored = ask_storage(edge, LocateEvent { event_id: event_id.clone() }).await?;
    let room_id = match stored {
        Some(room_id) => Some(room_id),
        None => ask_user(edge, user_id, FindRecent { session: session.clone(), event_id: event_id.clone() }).await?,
    };
    let room_id = room_id.ok_or_else(|| MatrixError::not_found("There is no such event, or you may not see it"))?;
    let ask = ReadEvent { caller: caller.clone(), event_id, ignored: BTreeSet::new() };
    let (event, ignored) = ignored::read(edge, user_id, session, &room_id, ask).await?;
    ignored.show(event)
}
