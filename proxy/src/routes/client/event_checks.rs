//! What is checked of an event before its room is asked, whatever endpoint it comes by.

use ruma::RoomId;
use tern_edge::{aliases, join};
use tern_model::MatrixError;
use tern_ports::wire::room::Draft;

use crate::{edge::Edge, limits, request::Incoming};

/// What is looked at of an event before its room is asked, now or later, whatever endpoint it comes by.
pub(super) async fn admit(edge: &Edge, request: &Incoming, room_id: &RoomId, draft: &Draft) -> Result<(), MatrixError> {
    limits::admit_event(edge, request.identity()?, draft)?;
    if draft.kind == "m.room.canonical_alias" && draft.state_key.as_deref() == Some("") {
        aliases::check_canonical(edge, &draft.sender, room_id, &draft.content).await?;
    }
    join::check_invite(edge, &edge.config, draft).await
}
