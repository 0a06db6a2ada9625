//! What inboxes weigh: a figure of each room's row, so that no message reads the events before it for that.

use ruma::RoomId;
use tern_model::RoomSeq;
use tern_object_kit::schema::Step;
use tern_ports::{Row, Sql, SqlError};

/// NULL until they are counted.
pub(crate) const COLUMN: Step = &["ALTER TABLE room ADD COLUMN inbox_bytes INTEGER"];

/// Positions and bytes of all events that are held of a room, from `from` on, the newest first.
pub(crate) fn sizes(sql: &impl Sql, room_id: &RoomId, from: RoomSeq) -> Result<Vec<(RoomSeq, u64)>, SqlError> {
    let rows = sql.query(
        "SELECT seq, length(CAST(client AS BLOB)) FROM inbox WHERE room_id = +? AND seq >= ? ORDER BY seq DESC",
        &[room_id.as_str().into(), from.0.into()],
    )?;
    Ok(rows.iter().filter_map(|row: &Row| Some((RoomSeq(row.int(0)?), row.int(1)?))).collect())
}

/// What the inboxes of all rooms but one have beyond `own` bytes each.
pub(crate) fn beyond(sql: &impl Sql, own: u64, room_id: &RoomId) -> Result<u64, SqlError> {
    let rows = sql.query(
        "SELECT sum(inbox_bytes - ?1) FROM room WHERE inbox_bytes > ?1 AND room_id <> ?2",
        &[own.into(), room_id.as_str().into()],
    )?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or_default())
}
