//! Invites into rooms that are not here, as their servers signed them.

use ruma::RoomId;
use tern_ports::{Sql, SqlError};

pub(crate) const TABLE: tern_object_kit::schema::Step = &["CREATE TABLE IF NOT EXISTS outside_invite (
        room_id TEXT PRIMARY KEY, event_id TEXT NOT NULL, event TEXT NOT NULL
    ) STRICT, WITHOUT ROWID"];

/// Keeps an invite, in the place of an earlier one into the same room. False when it is there already.
pub(crate) fn put(sql: &impl Sql, room_id: &RoomId, event_id: &str, event: &str) -> Result<bool, SqlError> {
    let new = sql.query(
        "INSERT INTO outside_invite (room_id, event_id, event) VALUES (?, ?, ?) ON CONFLICT DO UPDATE
         SET event_id = excluded.event_id, event = excluded.event WHERE event_id <> excluded.event_id RETURNING 1",
        &[room_id.as_str().into(), event_id.into(), event.into()],
    )?;
    Ok(!new.is_empty())
}

/// The id of an invite, and what its server signed.
pub(crate) fn read(sql: &impl Sql, room_id: &RoomId) -> Result<Option<(String, String)>, SqlError> {
    let rows = sql.query("SELECT event_id, event FROM outside_invite WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(rows.first().and_then(|row| Some((row.string(0)?, row.string(1)?))))
}

/// Takes an invite away.
pub(crate) fn take(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM outside_invite WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}

/// Forgets those of rooms that the user has entered or left since.
pub(crate) fn tidy(sql: &impl Sql) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM outside_invite WHERE room_id IN
             (SELECT r.room_id FROM room r WHERE r.room_id = outside_invite.room_id AND r.membership = 'join')",
        &[],
    )?;
    Ok(())
}

/// How many there are.
pub(crate) fn count(sql: &impl Sql) -> Result<u64, SqlError> {
    let rows = sql.query("SELECT count(*) FROM outside_invite", &[])?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or_default())
}
