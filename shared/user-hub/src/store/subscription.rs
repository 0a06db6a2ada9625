//! Large rooms that the hub does not hear of because nobody listens.

use ruma::{OwnedRoomId, RoomId};
use tern_model::Millis;
use tern_ports::{Row, Sql, SqlError};

/// A room, and since when.
pub(crate) const TABLE: tern_object_kit::schema::Step =
    &["CREATE TABLE IF NOT EXISTS unheard (room_id TEXT PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID"];

/// A room that the hub does not hear of.
pub(crate) struct Unsubscribed {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) since: Millis,
}

/// The hub hears no more of a room.
pub(crate) fn unsubscribe(sql: &impl Sql, room_id: &RoomId, at: Millis) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO unheard (room_id, since) VALUES (?, ?) ON CONFLICT DO NOTHING",
        &[room_id.as_str().into(), at.0.into()],
    )?;
    Ok(())
}

/// The hub hears of a room again.
pub(crate) fn subscribe(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM unheard WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}

/// There is such a room.
pub(crate) fn any(sql: &impl Sql) -> Result<bool, SqlError> {
    Ok(!sql.query("SELECT 1 FROM unheard LIMIT 1", &[])?.is_empty())
}

/// All such rooms.
pub(crate) fn unsubscribed(sql: &impl Sql) -> Result<Vec<Unsubscribed>, SqlError> {
    let rows = sql.query("SELECT room_id, since FROM unheard", &[])?;
    let room = |row: &Row| Some(Unsubscribed { room_id: row.text(0)?.try_into().ok()?, since: Millis(row.int(1)?) });
    Ok(rows.iter().filter_map(room).collect())
}
