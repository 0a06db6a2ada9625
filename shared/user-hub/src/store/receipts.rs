//! Receipts of other users and of this one.

use ruma::{OwnedRoomId, RoomId};
use tern_model::{Millis, Receipt, RoomSeq, StreamPos};
use tern_ports::{Row, Sql, SqlError};

use super::Span;
use tern_object_kit::schema::Step;

/// Receipts of earlier builds that are longer than any may be.
pub(crate) const BOUNDED: Step =
    &["DELETE FROM receipt WHERE length(CAST(thread_id AS BLOB)) > 255 OR length(CAST(event_id AS BLOB)) > 255"];

/// Of the receipts of threads that a user has sent in a room, the newest 200 stay. Parameters: room, user and kind.
const DROP_OLDEST_THREADS: &str = "DELETE FROM receipt
    WHERE room_id = +?1 AND user_id = +?2 AND kind = +?3 AND thread_id IN (
        SELECT thread_id FROM receipt WHERE room_id = +?1 AND user_id = +?2 AND kind = +?3 AND thread_id <> ''
        ORDER BY ts DESC LIMIT -1 OFFSET 200)";

const COLUMNS: &str = "room_id, user_id, kind, thread_id, event_id, seq, ts";

fn receipt(row: &Row) -> Option<(OwnedRoomId, Receipt)> {
    let receipt = Receipt {
        user_id: row.text(1)?.try_into().ok()?,
        kind: row.string(2)?,
        thread_id: row.text(3).filter(|thread| !thread.is_empty()).and_then(|thread| thread.try_into().ok()),
        event_id: row.text(4)?.try_into().ok()?,
        seq: row.int(5).map(RoomSeq),
        ts: Millis(row.int(6)?),
    };
    Some((row.text(0)?.try_into().ok()?, receipt))
}

pub(crate) fn write(sql: &impl Sql, room_id: &RoomId, receipt: &Receipt, pos: StreamPos) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO receipt (room_id, user_id, kind, thread_id, event_id, seq, ts, pos) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET event_id = excluded.event_id, seq = excluded.seq, ts = excluded.ts,
         pos = excluded.pos",
        &[
            room_id.as_str().into(),
            receipt.user_id.as_str().into(),
            receipt.kind.as_str().into(),
            receipt.thread_id.as_deref().unwrap_or_default().into(),
            receipt.event_id.as_str().into(),
            receipt.seq.map(|seq| seq.0).into(),
            receipt.ts.0.into(),
            pos.0.into(),
        ],
    )?;
    Ok(())
}

/// A receipt of a thread is new: the oldest of its user's make room.
pub(crate) fn drop_oldest_threads(sql: &impl Sql, room_id: &RoomId, new: &Receipt) -> Result<(), SqlError> {
    let place = [room_id.as_str().into(), new.user_id.as_str().into(), new.kind.as_str().into()];
    sql.query(DROP_OLDEST_THREADS, &place)?;
    Ok(())
}

/// The stored receipt in the place of `receipt`.
pub(crate) fn same_place(sql: &impl Sql, room_id: &RoomId, other: &Receipt) -> Result<Option<Receipt>, SqlError> {
    let rows = sql.query(
        &format!("SELECT {COLUMNS} FROM receipt WHERE room_id = ? AND user_id = ? AND kind = ? AND thread_id = ?"),
        &[
            room_id.as_str().into(),
            other.user_id.as_str().into(),
            other.kind.as_str().into(),
            other.thread_id.as_deref().unwrap_or_default().into(),
        ],
    )?;
    Ok(rows.first().and_then(receipt).map(|(_, receipt)| receipt))
}

/// Receipts that came in `span`.
pub(crate) fn changed(sql: &impl Sql, span: Span) -> Result<Vec<(OwnedRoomId, Receipt)>, SqlError> {
    let rows =
        sql.query(&format!("SELECT {COLUMNS} FROM receipt WHERE pos > ? AND pos <= ? ORDER BY pos"), &span.params())?;
    Ok(rows.iter().filter_map(receipt).collect())
}

/// The newest position at which any came.
pub(crate) fn newest(sql: &impl Sql) -> Result<StreamPos, SqlError> {
    let rows = sql.query("SELECT max(pos) FROM receipt", &[])?;
    Ok(StreamPos(rows.first().and_then(|row| row.int(0)).unwrap_or_default()))
}

pub(crate) fn of_room(sql: &impl Sql, room_id: &RoomId) -> Result<Vec<Receipt>, SqlError> {
    let rows = sql
        .query(&format!("SELECT {COLUMNS} FROM receipt WHERE room_id = +? ORDER BY pos"), &[room_id.as_str().into()])?;
    Ok(rows.iter().filter_map(receipt).map(|(_, receipt)| receipt).collect())
}

pub(crate) fn delete_room(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM receipt WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}
