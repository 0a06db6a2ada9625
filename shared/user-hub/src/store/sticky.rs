//! Sticky events of the user's rooms (MSC4354).

use ruma::{EventId, OwnedRoomId, RoomId};
use tern_model::{Millis, RawJson, StickyEvent, StreamPos};
use tern_ports::{Row, Sql, SqlError};
use tern_sync::Sticky;

use super::Span;

/// A row for each event, in the order in which they came, and the position of the newest in the hub's own row.
pub(crate) const TABLES: &[&str] = &[
    "ALTER TABLE hub ADD COLUMN sticky INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE IF NOT EXISTS sticky (
        pos INTEGER PRIMARY KEY, room_id TEXT NOT NULL, event_id TEXT NOT NULL, sender TEXT NOT NULL,
        until INTEGER NOT NULL, client TEXT NOT NULL
    ) STRICT",
    "CREATE UNIQUE INDEX IF NOT EXISTS sticky_event ON sticky (room_id, event_id)",
];

fn sticky_of(row: &Row, now: Millis) -> Option<Sticky> {
    Some(Sticky {
        at: StreamPos(row.int(0)?),
        room_id: OwnedRoomId::try_from(row.text(1)?).ok()?,
        event_id: row.string(2)?,
        sender: row.text(3)?.try_into().ok()?,
        remaining_ms: Millis(row.int(4)?).since(now),
        client: RawJson::parse(row.string(5)?).ok()?,
    })
}

pub(crate) fn is_known(sql: &impl Sql, room_id: &RoomId, event_id: &EventId) -> Result<bool, SqlError> {
    let key = [room_id.as_str().into(), event_id.as_str().into()];
    Ok(!sql.query("SELECT 1 FROM sticky WHERE room_id = ? AND event_id = ?", &key)?.is_empty())
}

pub(crate) fn add(sql: &impl Sql, room_id: &RoomId, event: &StickyEvent, pos: StreamPos) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO sticky (pos, room_id, event_id, sender, until, client) VALUES (?, ?, ?, ?, ?, ?)",
        &[
            pos.0.into(),
            room_id.as_str().into(),
            event.event_id.as_str().into(),
            event.sender.as_str().into(),
            event.until.0.into(),
            event.client.text().into(),
        ],
    )?;
    Ok(())
}

/// Events in `span` that are still sticky, oldest first.
pub(crate) fn between(sql: &impl Sql, span: Span, now: Millis, limit: u64) -> Result<Vec<Sticky>, SqlError> {
    let [after, until] = span.params();
    let rows = sql.query(
        "SELECT pos, room_id, event_id, sender, until, client FROM sticky
         WHERE pos > ? AND pos <= ? AND until > ? ORDER BY pos LIMIT +?",
        &[after, until, now.0.into(), limit.into()],
    )?;
    Ok(rows.iter().filter_map(|row| sticky_of(row, now)).collect())
}

/// A room's events in `span` that are still sticky, oldest first.
pub(crate) fn of_room(sql: &impl Sql, room_id: &RoomId, span: Span, now: Millis) -> Result<Vec<Sticky>, SqlError> {
    let [after, until] = span.params();
    let rows = sql.query(
        "SELECT pos, room_id, event_id, sender, until, client FROM sticky
         WHERE room_id = +? AND pos > ? AND pos <= ? AND until > ? ORDER BY pos",
        &[room_id.as_str().into(), after, until, now.0.into()],
    )?;
    Ok(rows.iter().filter_map(|row| sticky_of(row, now)).collect())
}

pub(crate) fn any(sql: &impl Sql) -> Result<bool, SqlError> {
    Ok(!sql.query("SELECT 1 FROM sticky LIMIT 1", &[])?.is_empty())
}

pub(crate) fn delete(sql: &impl Sql, room_id: &RoomId, event_id: &EventId) -> Result<(), SqlError> {
    let key = [room_id.as_str().into(), event_id.as_str().into()];
    sql.query("DELETE FROM sticky WHERE room_id = ? AND event_id = ?", &key)?;
    Ok(())
}

pub(crate) fn delete_expired(sql: &impl Sql, now: Millis) -> Result<(), SqlError> {
    sql.query("DELETE FROM sticky WHERE until <= ?", &[now.0.into()])?;
    Ok(())
}

pub(crate) fn delete_room(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM sticky WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}
