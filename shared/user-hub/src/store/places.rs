//! When the events of rooms that have left the inbox came: pairs of a position of the user's stream and the newest position
//! of the room from there on. So a token of a sync stays a place in every room after the events around it are gone.
//!
//! A row is written when the inbox is trimmed, once for some twenty events, and read when somebody asks for a place.

use ruma::RoomId;
use tern_model::{RoomSeq, StreamPos};
use tern_ports::{Row, Sql, SqlError};

use super::{inbox, rooms::RoomRow};
use tern_object_kit::schema::Step;

pub(crate) const TABLE: Step = &[
    // From `pos` on the room was at `seq`; `steps` are the pairs after that, as JSON, each by what it is more than the last.
    "CREATE TABLE IF NOT EXISTS place (
        room_id TEXT NOT NULL, pos INTEGER NOT NULL, seq INTEGER NOT NULL, steps TEXT NOT NULL,
        PRIMARY KEY (room_id, pos)
    ) STRICT, WITHOUT ROWID",
];

/// Pairs of one row, about 3 kB.
const MOST_PAIRS: usize = 512;
/// Rows of one room: what is beyond some eight thousand events is forgotten.
const MOST_ROWS: u64 = 16;

type Pair = (StreamPos, RoomSeq);

/// Takes events before `before` out of the inbox and keeps when they came. Their rows are left for new events. How many bytes
/// they had.
pub(crate) fn retire(sql: &impl Sql, room: &mut RoomRow, before: RoomSeq) -> Result<u64, SqlError> {
    let room_id = &room.room_id;
    let mut pairs = newest_row(sql, room_id)?.filter(|pairs| pairs.len() < MOST_PAIRS).unwrap_or_default();
    let (held, mut bytes) = (pairs.len(), 0);
    for inbox::Arrival { pos, seq, bytes: gone } in inbox::arrivals(sql, room_id, room.spare, before)? {
        bytes += gone;
        match pairs.last_mut() {
            Some(last) if last.0 == pos => last.1 = last.1.max(seq),
            _ => pairs.push((pos, seq)),
        }
    }
    for row in pairs.chunks(MOST_PAIRS) {
        write(sql, room_id, row)?;
    }
    if held == 0 || pairs.len() > MOST_PAIRS {
        forget_oldest(sql, room_id)?;
    }
    room.spare = room.spare.max(before);
    Ok(bytes)
}

/// The room's position at `at`, if that is among what is kept here.
pub(crate) fn at(sql: &impl Sql, room_id: &RoomId, at: StreamPos) -> Result<Option<RoomSeq>, SqlError> {
    let rows = sql.query(
        "SELECT pos, seq, steps FROM place WHERE room_id = +? AND pos <= ? ORDER BY pos DESC LIMIT 1",
        &[room_id.as_str().into(), at.0.into()],
    )?;
    let pairs = rows.first().map(pairs).transpose()?.unwrap_or_default();
    Ok(pairs.into_iter().take_while(|(pos, _)| *pos <= at).last().map(|(_, seq)| seq))
}

/// The oldest position that is kept.
pub(crate) fn oldest(sql: &impl Sql, room_id: &RoomId) -> Result<Option<RoomSeq>, SqlError> {
    let rows =
        sql.query("SELECT seq FROM place WHERE room_id = +? ORDER BY pos LIMIT 1", &[room_id.as_str().into()])?;
    Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
}

pub(crate) fn delete_room(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM place WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}

fn newest_row(sql: &impl Sql, room_id: &RoomId) -> Result<Option<Vec<Pair>>, SqlError> {
    let rows = sql.query(
        "SELECT pos, seq, steps FROM place WHERE room_id = +? ORDER BY pos DESC LIMIT 1",
        &[room_id.as_str().into()],
    )?;
    rows.first().map(pairs).transpose()
}

fn write(sql: &impl Sql, room_id: &RoomId, pairs: &[Pair]) -> Result<(), SqlError> {
    let Some(first) = pairs.first() else { return Ok(()) };
    let more = |pair: &[Pair]| match pair {
        [last, next] => Some((next.0.0 - last.0.0, next.1.0 - last.1.0)),
        _ => None,
    };
    let steps: Vec<(u64, u64)> = pairs.windows(2).filter_map(more).collect();
    let steps = serde_json::to_string(&steps).map_err(|error| SqlError(error.to_string()))?;
    sql.query(
        "INSERT OR REPLACE INTO place (room_id, pos, seq, steps) VALUES (?, ?, ?, ?)",
        &[room_id.as_str().into(), first.0.0.into(), first.1.0.into(), steps.into()],
    )?;
    Ok(())
}

fn pairs(row: &Row) -> Result<Vec<Pair>, SqlError> {
    let damaged = || SqlError("a row of places is damaged".to_owned());
    let mut last = (row.int(0).ok_or_else(damaged)?, row.int(1).ok_or_else(damaged)?);
    let steps: Vec<(u64, u64)> = row.text(2).and_then(|text| serde_json::from_str(text).ok()).ok_or_else(damaged)?;
    let later = steps.into_iter().map(|(pos, seq)| {
        last = (last.0 + pos, last.1 + seq);
        last
    });
    let first = (row.int(0).unwrap_or_default(), row.int(1).unwrap_or_default());
    Ok(std::iter::once(first).chain(later).map(|(pos, seq)| (StreamPos(pos), RoomSeq(seq))).collect())
}

fn forget_oldest(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM place WHERE room_id = +?1
         AND pos <= (SELECT pos FROM place WHERE room_id = +?1 ORDER BY pos DESC LIMIT 1 OFFSET +?2)",
        &[room_id.as_str().into(), MOST_ROWS.into()],
    )?;
    Ok(())
}
