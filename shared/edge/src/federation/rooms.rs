//! Which room another server asks about.

use ruma::{EventId, OwnedRoomId};
use tern_model::MatrixError;
use tern_ports::{Transport, ask_storage, wire::places::LocateEvent};

/// The room of an event, whose id does not tell it. The newest events of a room are found once they are stored, moments later.
///
/// # Errors
/// 404 `M_NOT_FOUND`.
pub async fn room_of<E: Transport>(edge: &E, event_id: &EventId) -> Result<OwnedRoomId, MatrixError> {
    let found = ask_storage(edge, LocateEvent { event_id: event_id.to_owned() }).await?;
    found.ok_or_else(|| MatrixError::not_found("There is no such event"))
}
