//! Rooms to which the settings of the rooms before them have been copied.

use ruma::RoomId;
use tern_ports::{Sql, SqlError};

pub(crate) const TABLE: tern_object_kit::schema::Step =
    &["CREATE TABLE IF NOT EXISTS upgraded (room_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID"];

/// Notes that settings have been copied to a room. False when that is known already.
pub(crate) fn note(sql: &impl Sql, room_id: &RoomId) -> Result<bool, SqlError> {
    let new = sql.query(
        "INSERT INTO upgraded (room_id) VALUES (?) ON CONFLICT DO NOTHING RETURNING 1",
        &[room_id.as_str().into()],
    )?;
    Ok(!new.is_empty())
}
