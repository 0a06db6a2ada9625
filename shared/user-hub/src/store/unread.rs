//! Unread marks whose events have left the inbox, and ranges of events that have yet to be counted.

use ruma::{EventId, OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};
use tern_model::RoomSeq;
use tern_ports::{Row, Sql, SqlError};
use tern_push::Mark;

/// Marks of one row.
const MOST_MARKS: usize = 512;
/// Signs of an event's id that are kept: ids end in a hash, and these 72 bits of it will do among one room's unread events.
const TAIL: usize = 12;

/// A mark with as much of its event's id as tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedMark {
    #[serde(flatten)]
    pub(crate) mark: Mark,
    #[serde(rename = "e")]
    tail: String,
}

impl PackedMark {
    pub(crate) fn new(mark: Mark, event_id: &str) -> Self {
        Self { mark, tail: tail(event_id).to_owned() }
    }

    pub(crate) fn is_of(&self, event_id: &EventId) -> bool {
        self.tail == tail(event_id.as_str())
    }
}

fn tail(event_id: &str) -> &str {
    event_id.len().checked_sub(TAIL).and_then(|from| event_id.get(from..)).unwrap_or(event_id)
}

/// Marks of one row, oldest first.
pub(crate) struct Pack {
    pub(crate) first: RoomSeq,
    pub(crate) marks: Vec<PackedMark>,
}

fn pack(row: &Row) -> Option<Pack> {
    Some(Pack { first: RoomSeq(row.int(0)?), marks: serde_json::from_str(row.text(1)?).ok()? })
}

/// Packs marks that are newer than all packed ones, or fill a gap between them. Oldest first.
pub(crate) fn pack_marks(sql: &impl Sql, room_id: &RoomId, mut marks: Vec<PackedMark>) -> Result<(), SqlError> {
    let Some(first) = marks.first().map(|packed| packed.mark.seq) else { return Ok(()) };
    let rows = sql.query(
        "SELECT first, marks FROM packed WHERE room_id = +? ORDER BY first DESC LIMIT 1",
        &[room_id.as_str().into()],
    )?;
    if let Some(mut newest) = rows.first().and_then(pack)
        && newest.marks.last().is_some_and(|last| last.mark.seq < first)
        && newest.marks.len() + marks.len() <= MOST_MARKS
    {
        newest.marks.append(&mut marks);
        return write(sql, room_id, &newest);
    }
    for marks in marks.chunks(MOST_MARKS) {
        let Some(first) = marks.first().map(|packed| packed.mark.seq) else { continue };
        write(sql, room_id, &Pack { first, marks: marks.to_vec() })?;
    }
    Ok(())
}

/// Writes a pack; an empty one goes.
pub(crate) fn write(sql: &impl Sql, room_id: &RoomId, pack: &Pack) -> Result<(), SqlError> {
    let (room_id, first) = (room_id.as_str().into(), pack.first.0.into());
    if pack.marks.is_empty() {
        sql.query("DELETE FROM packed WHERE room_id = ? AND first = ?", &[room_id, first])?;
        return Ok(());
    }
    let marks = serde_json::to_string(&pack.marks).map_err(|error| SqlError(error.to_string()))?;
    sql.query(
        "INSERT OR REPLACE INTO packed (room_id, first, marks) VALUES (?, ?, ?)",
        &[room_id, first, marks.into()],
    )?;
    Ok(())
}

/// Packs with marks up to `until`.
pub(crate) fn packs(sql: &impl Sql, room_id: &RoomId, until: RoomSeq) -> Result<Vec<Pack>, SqlError> {
    let rows = sql.query(
        "SELECT first, marks FROM packed WHERE room_id = +? AND first <= ? ORDER BY first",
        &[room_id.as_str().into(), until.0.into()],
    )?;
    Ok(rows.iter().filter_map(pack).collect())
}

/// There are marks left.
pub(crate) fn has_packs(sql: &impl Sql, room_id: &RoomId) -> Result<bool, SqlError> {
    let rows = sql.query("SELECT 1 FROM packed WHERE room_id = ? LIMIT 1", &[room_id.as_str().into()])?;
    Ok(!rows.is_empty())
}

/// Forgets marks and missed ranges of a room.
pub(crate) fn delete_room(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    for table in ["packed", "missed"] {
        sql.query(&format!("DELETE FROM {table} WHERE room_id = ?"), &[room_id.as_str().into()])?;
    }
    Ok(())
}

/// Events from `first` to `last` that are not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) first: RoomSeq,
    pub(crate) last: RoomSeq,
}

/// Notes a missed range, or what is left of it.
pub(crate) fn note_missed(sql: &impl Sql, missed: &Missed) -> Result<(), SqlError> {
    sql.query(
        "INSERT OR REPLACE INTO missed (room_id, first, last) VALUES (?, ?, ?)",
        &[missed.room_id.as_str().into(), missed.first.0.into(), missed.last.0.into()],
    )?;
    Ok(())
}

/// A missed range is counted.
pub(crate) fn drop_missed(sql: &impl Sql, missed: &Missed) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM missed WHERE room_id = ? AND first = ?",
        &[missed.room_id.as_str().into(), missed.first.0.into()],
    )?;
    Ok(())
}

/// Some missed range.
pub(crate) fn missed(sql: &impl Sql) -> Result<Option<Missed>, SqlError> {
    let rows = sql.query("SELECT room_id, first, last FROM missed LIMIT 1", &[])?;
    let range = |row: &Row| {
        let (first, last) = (RoomSeq(row.int(1)?), RoomSeq(row.int(2)?));
        Some(Missed { room_id: row.text(0)?.try_into().ok()?, first, last })
    };
    Ok(rows.first().and_then(range))
}

/// A range of this room is missed.
pub(crate) fn misses(sql: &impl Sql, room_id: &RoomId) -> Result<bool, SqlError> {
    let rows = sql.query("SELECT 1 FROM missed WHERE room_id = ? LIMIT 1", &[room_id.as_str().into()])?;
    Ok(!rows.is_empty())
}
