//! What somebody is told who is not in the room.

use tern_model::MatrixError;

/// 403 for somebody who is not in the room, or asks of a room that does not exist.
pub(crate) fn not_in_room() -> MatrixError {
    MatrixError::forbidden("You are not a member of this room")
}
