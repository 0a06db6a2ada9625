//! Account data, global (`room_id` empty) and of rooms.

use ruma::{OwnedRoomId, RoomId};
use tern_model::{RawJson, StreamPos};
use tern_ports::{Row, Sql, SqlError};
use tern_sync::AccountData;

use super::Span;

fn place(room_id: Option<&RoomId>) -> &str {
    room_id.map_or("", RoomId::as_str)
}

fn entry(row: &Row) -> Option<AccountData> {
    Some(AccountData { kind: row.string(0)?, content: RawJson::parse(row.string(1)?).ok()? })
}

pub(crate) fn read(sql: &impl Sql, room_id: Option<&RoomId>, kind: &str) -> Result<Option<RawJson>, SqlError> {
    let rows = sql.query(
        "SELECT content FROM account_data WHERE room_id = ? AND kind = ?",
        &[place(room_id).into(), kind.into()],
    )?;
    Ok(rows.first().and_then(|row| RawJson::parse(row.string(0)?).ok()))
}

pub(crate) fn write(
    sql: &impl Sql,
    room_id: Option<&RoomId>,
    kind: &str,
    content: &RawJson,
    pos: StreamPos,
) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO account_data (room_id, kind, content, pos) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET content = excluded.content, pos = excluded.pos",
        &[place(room_id).into(), kind.into(), content.text().into(), pos.0.into()],
    )?;
    Ok(())
}

/// How many entries there are, deleted ones excepted, for the limit.
pub(crate) fn count(sql: &impl Sql, room_id: Option<&RoomId>) -> Result<u64, SqlError> {
    let rows =
        sql.query("SELECT count(*) FROM account_data WHERE room_id = ? AND content <> '{}'", &[place(room_id).into()])?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}

/// Bytes of all entries, each with its name.
pub(crate) fn bytes(sql: &impl Sql) -> Result<u64, SqlError> {
    let rows = sql.query(
        "SELECT coalesce(sum(length(CAST(content AS BLOB)) + length(kind) + length(room_id)), 0) FROM account_data",
        &[],
    )?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}

/// Forgets the entry deleted longest ago when more than `most` are remembered.
pub(crate) fn trim_deleted(sql: &impl Sql, room_id: Option<&RoomId>, most: u64) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM account_data WHERE room_id = +?1 AND content = '{}' AND pos <= (SELECT pos FROM account_data
         WHERE room_id = +?1 AND content = '{}' ORDER BY pos DESC LIMIT 1 OFFSET +?2)",
        &[place(room_id).into(), most.into()],
    )?;
    Ok(())
}

/// Global entries changed in `span`.
pub(crate) fn global(sql: &impl Sql, span: Span) -> Result<Vec<AccountData>, SqlError> {
    let rows = sql.query(
        "SELECT kind, content FROM account_data WHERE room_id = '' AND pos > ? AND pos <= ? ORDER BY pos",
        &span.params(),
    )?;
    Ok(rows.iter().filter_map(entry).collect())
}

/// Entries of rooms changed in `span`.
pub(crate) fn of_rooms(sql: &impl Sql, span: Span) -> Result<Vec<(OwnedRoomId, AccountData)>, SqlError> {
    let rows = sql.query(
        "SELECT kind, content, room_id FROM account_data WHERE pos > ? AND pos <= ? AND room_id <> '' ORDER BY pos",
        &span.params(),
    )?;
    Ok(rows.iter().filter_map(|row| Some((OwnedRoomId::try_from(row.text(2)?).ok()?, entry(row)?))).collect())
}

/// All entries of a room, deleted ones excepted.
pub(crate) fn of_room(sql: &impl Sql, room_id: &RoomId) -> Result<Vec<AccountData>, SqlError> {
    let rows = sql.query(
        "SELECT kind, content FROM account_data WHERE room_id = +? AND content <> '{}' ORDER BY kind",
        &[room_id.as_str().into()],
    )?;
    Ok(rows.iter().filter_map(entry).collect())
}

/// The tags of all rooms.
pub(crate) fn tags(sql: &impl Sql) -> Result<Vec<(OwnedRoomId, RawJson)>, SqlError> {
    let rows = sql.query("SELECT room_id, content FROM account_data WHERE kind = 'm.tag' AND room_id <> ''", &[])?;
    let entry = |row: &Row| Some((OwnedRoomId::try_from(row.text(0)?).ok()?, RawJson::parse(row.string(1)?).ok()?));
    Ok(rows.iter().filter_map(entry).collect())
}

pub(crate) fn delete_room(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM account_data WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}
