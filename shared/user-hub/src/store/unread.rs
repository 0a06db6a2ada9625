//! Unread notifications whose events have left the inbox, and ranges of events that have yet to be counted.

use ruma::{EventId, OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};
use tern_model::RoomSeq;
use tern_ports::{Row, Sql, SqlError};
use tern_push::Notification;

/// Notifications of one row.
const MAX_PACKED: usize = 512;
/// Signs of an event's id that are kept: ids end in a hash, and these 72 bits of it will do among one room's unread events.
const TAIL: usize = 12;

/// A notification with as much of its event's id as tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedNotification {
    #[serde(flatten)]
    pub(crate) notification: Notification,
    #[serde(rename = "e")]
    tail: String,
}

impl PackedNotification {
    pub(crate) fn new(notification: Notification, event_id: &str) -> Self {
        Self { notification, tail: tail(event_id).to_owned() }
    }

    pub(crate) fn is_of(&self, event_id: &EventId) -> bool {
        self.tail == tail(event_id.as_str())
    }
}

fn tail(event_id: &str) -> &str {
    event_id.len().checked_sub(TAIL).and_then(|from| event_id.get(from..)).unwrap_or(event_id)
}

/// Notifications of one row, oldest first.
pub(crate) struct Pack {
    pub(crate) first: RoomSeq,
    pub(crate) notifications: Vec<PackedNotification>,
}

fn pack(row: &Row) -> Option<Pack> {
    Some(Pack { first: RoomSeq(row.int(0)?), notifications: serde_json::from_str(row.text(1)?).ok()? })
}

/// Packs marks that are newer than all packed ones, or fill a gap between them. Oldest first.
pub(crate) fn pack_notifications(
    sql: &impl Sql,
    room_id: &RoomId,
    mut notifications: Vec<PackedNotification>,
) -> Result<(), SqlError> {
    let Some(first) = notifications.first().map(|packed| packed.notification.seq) else { return Ok(()) };
    let rows = sql.query(
        "SELECT first, marks FROM packed WHERE room_id = +? ORDER BY first DESC LIMIT 1",
        &[room_id.as_str().into()],
    )?;
    if let Some(mut newest) = rows.first().and_then(pack)
        && newest.notifications.last().is_some_and(|last| last.notification.seq < first)
        && newest.notifications.len() + notifications.len() <= MAX_PACKED
    {
        newest.notifications.append(&mut notifications);
        return write(sql, room_id, &newest);
    }
    for notifications in notifications.chunks(MAX_PACKED) {
        let Some(first) = notifications.first().map(|packed| packed.notification.seq) else { continue };
        write(sql, room_id, &Pack { first, notifications: notifications.to_vec() })?;
    }
    Ok(())
}

/// Writes a pack; an empty one goes.
pub(crate) fn write(sql: &impl Sql, room_id: &RoomId, pack: &Pack) -> Result<(), SqlError> {
    let (room_id, first) = (room_id.as_str().into(), pack.first.0.into());
    if pack.notifications.is_empty() {
        sql.query("DELETE FROM packed WHERE room_id = ? AND first = ?", &[room_id, first])?;
        return Ok(());
    }
    let notifications = serde_json::to_string(&pack.notifications).map_err(|error| SqlError(error.to_string()))?;
    sql.query(
        "INSERT OR REPLACE INTO packed (room_id, first, marks) VALUES (?, ?, ?)",
        &[room_id, first, notifications.into()],
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

/// There are notifications left.
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
