//! Large rooms that the hub does not hear of because nobody listens.

use ruma::{OwnedRoomId, RoomId};
use tern_model::Millis;
use tern_ports::{Row, Sql, SqlError};

/// A room, and since when.
pub(in crate::user) const TABLE: crate::schema::Step =
    &["CREATE TABLE IF NOT EXISTS unheard (room_id TEXT PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID"];

/// A room that the hub does not hear of.
pub(in crate::user) struct Unheard {
    pub(in crate::user) room_id: OwnedRoomId,
    pub(in crate::user) since: Millis,
}

/// The hub hears no more of a room.
pub(in crate::user) fn hears_not(sql: &impl Sql, room_id: &RoomId, at: Millis) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO unheard (room_id, since) VALUES (?, ?) ON CONFLICT DO NOTHING",
        &[room_id.as_str().into(), at.0.into()],
    )?;
    Ok(())
}

/// The hub hears of a room again.
pub(in crate::user) fn hears(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM unheard WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}

/// There is such a room.
pub(in crate::user) fn any(sql: &impl Sql) -> Result<bool, SqlError> {
    Ok(!sql.query("SELECT 1 FROM unheard LIMIT 1", &[])?.is_empty())
}

/// All such rooms.
pub(in crate::user) fn unheard(sql: &impl Sql) -> Result<Vec<Unheard>, SqlError> {
    let rows = sql.query("SELECT room_id, since FROM unheard", &[])?;
    let room = |row: &Row| Some(Unheard { room_id: row.text(0)?.try_into().ok()?, since: Millis(row.int(1)?) });
    Ok(rows.iter().filter_map(room).collect())
}
