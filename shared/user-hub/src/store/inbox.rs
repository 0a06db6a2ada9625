//! Recent events of rooms, ready to be copied into answers.

use std::rc::Rc;

use ruma::{EventId, OwnedEventId, RoomId, UserId};
use tern_model::{Millis, NoticeEvent, RawJson, RoomSeq, StreamPos, TxnRef};
use tern_ports::{Row, Sql, SqlError, Value};
use tern_push::Notification;

use super::rooms::{Figures, RoomRow};

/// A position that no stream reaches, and that every part of the platform can hold.
const LAST: u64 = (1 << 53) - 1;

/// What is written beside an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filed {
    /// The root of its thread.
    pub(crate) thread: Option<String>,
    /// It notifies the user, and perhaps highlights.
    pub(crate) highlights: Option<bool>,
    /// What it moves of the room.
    pub(crate) figures: Option<Figures>,
}

impl Filed {
    fn notification(&self) -> Value {
        u64::from(self.highlights.map_or(0, |highlights| 1 + u8::from(highlights))).into()
    }
}

/// A mark from columns `seq, mark, thread`.
fn notification(row: &Row) -> Option<Notification> {
    Some(Notification { seq: RoomSeq(row.int(0)?), highlight: row.int(1)? > 1, thread: row.string(2) })
}

fn event(row: &Row) -> Option<NoticeEvent> {
    let txn = row.text(7).zip(row.string(8));
    Some(NoticeEvent {
        seq: RoomSeq(row.int(0)?),
        event_id: row.text(1)?.try_into().ok()?,
        kind: row.string(2)?,
        sender: row.text(3)?.try_into().ok()?,
        state_key: row.string(4),
        ts: Millis(row.int(5)?),
        client: RawJson::parse(row.string(6)?).ok()?,
        txn: txn.map(|(device, txn_id)| TxnRef { device_id: device.into(), txn_id }),
        redacts: None,
        pings_room: false,
    })
}

/// Adds an event to a room's. It takes the row of one that has left the inbox, if there is such a row: a row that moves is
/// one written row, one that goes and one that comes are two.
pub(crate) fn add(
    sql: &impl Sql,
    room: &RoomRow,
    event: &NoticeEvent,
    client: &RawJson,
    filed: Filed,
    pos: StreamPos,
) -> Result<(), SqlError> {
    let txn = event.txn.as_ref();
    let figures = filed.figures.and_then(|figures| serde_json::to_string(&figures).ok());
    let spare = spare(sql, room)?;
    // An event from before a gap may still be there when the room's hub tells it again.
    let text = match spare {
        Some(_) => {
            "UPDATE OR REPLACE inbox SET seq = ?2, pos = ?3, event_id = ?4, kind = ?5, sender = ?6, state_key = ?7,
             ts = ?8, client = ?9, txn_device = ?10, txn_id = ?11, mark = ?12, thread = ?13, figures = ?14
             WHERE room_id = ?1 AND seq = ?15"
        }
        None => {
            "INSERT OR REPLACE INTO inbox (room_id, seq, pos, event_id, kind, sender, state_key, ts, client, txn_device,
             txn_id, mark, thread, figures) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        }
    };
    let values = [
        room.room_id.as_str().into(),
        event.seq.0.into(),
        pos.0.into(),
        event.event_id.as_str().into(),
        event.kind.as_str().into(),
        event.sender.as_str().into(),
        event.state_key.clone().into(),
        event.ts.0.into(),
        client.text().into(),
        txn.map(|txn| txn.device_id.as_str().to_owned()).into(),
        txn.map(|txn| txn.txn_id.clone()).into(),
        filed.notification(),
        filed.thread.into(),
        figures.into(),
        spare.map_or(0, |seq| seq.0).into(),
    ];
    let row = match (spare, values.split_last()) {
        (None, Some((_, row))) => row,
        _ => values.as_slice(),
    };
    sql.query(text, row)?;
    Ok(())
}

/// The oldest event of a room that has left the inbox and still has its row.
fn spare(sql: &impl Sql, room: &RoomRow) -> Result<Option<RoomSeq>, SqlError> {
    if room.spare == RoomSeq(0) {
        return Ok(None);
    }
    Ok(oldest(sql, &room.room_id)?.filter(|oldest| *oldest < room.spare))
}

/// Events after `after` that came at `until` or before, oldest first.
pub(crate) fn after(
    sql: &impl Sql,
    room_id: &RoomId,
    after: RoomSeq,
    until: StreamPos,
) -> Result<Vec<Rc<NoticeEvent>>, SqlError> {
    let rows = sql.query(
        "SELECT seq, event_id, kind, sender, state_key, ts, client, txn_device, txn_id FROM inbox
         WHERE room_id = +? AND seq > ? AND pos <= ? ORDER BY seq",
        &[room_id.as_str().into(), after.0.into(), until.0.into()],
    )?;
    Ok(rows.iter().filter_map(event).map(Rc::new).collect())
}

/// Events that mention an event's id anywhere: position, own id, client form.
pub(crate) fn mentioning(
    sql: &impl Sql,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Vec<(RoomSeq, OwnedEventId, RawJson)>, SqlError> {
    let rows = sql.query(
        "SELECT seq, event_id, client FROM inbox WHERE room_id = ? AND instr(client, ?) > 0",
        &[room_id.as_str().into(), event_id.as_str().into()],
    )?;
    let found =
        |row: &Row| Some((RoomSeq(row.int(0)?), row.text(1)?.try_into().ok()?, RawJson::parse(row.string(2)?).ok()?));
    Ok(rows.iter().filter_map(found).collect())
}

pub(crate) fn replace(sql: &impl Sql, room_id: &RoomId, seq: RoomSeq, client: &RawJson) -> Result<(), SqlError> {
    sql.query(
        "UPDATE inbox SET client = ? WHERE room_id = ? AND seq = ?",
        &[client.text().into(), room_id.as_str().into(), seq.0.into()],
    )?;
    Ok(())
}

/// The newest event here that came at `at` or before.
pub(crate) fn newest_at(sql: &impl Sql, room_id: &RoomId, at: StreamPos) -> Result<Option<RoomSeq>, SqlError> {
    // From the newest backwards: no further than to the first that was there.
    let rows = sql.query(
        "SELECT seq FROM inbox WHERE room_id = +? AND pos <= ? ORDER BY seq DESC LIMIT 1",
        &[room_id.as_str().into(), at.0.into()],
    )?;
    Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
}

/// Position of the oldest event here.
pub(crate) fn oldest(sql: &impl Sql, room_id: &RoomId) -> Result<Option<RoomSeq>, SqlError> {
    let rows =
        sql.query("SELECT seq FROM inbox WHERE room_id = +? ORDER BY seq LIMIT 1", &[room_id.as_str().into()])?;
    Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
}

/// When an event came, and its bytes.
pub(crate) struct Arrival {
    pub(crate) pos: StreamPos,
    pub(crate) seq: RoomSeq,
    pub(crate) bytes: u64,
}

/// When the events from `from` to `before` came, oldest first.
pub(crate) fn arrivals(
    sql: &impl Sql,
    room_id: &RoomId,
    from: RoomSeq,
    before: RoomSeq,
) -> Result<Vec<Arrival>, SqlError> {
    let rows = sql.query(
        "SELECT pos, seq, length(CAST(client AS BLOB)) FROM inbox
         WHERE room_id = +? AND seq >= ? AND seq < ? ORDER BY seq",
        &[room_id.as_str().into(), from.0.into(), before.0.into()],
    )?;
    let arrival =
        |row: &Row| Some(Arrival { pos: StreamPos(row.int(0)?), seq: RoomSeq(row.int(1)?), bytes: row.int(2)? });
    Ok(rows.iter().filter_map(arrival).collect())
}

/// The newest member event of a user at or after `from`.
pub(crate) fn member(
    sql: &impl Sql,
    room_id: &RoomId,
    user_id: &UserId,
    from: RoomSeq,
) -> Result<Option<RawJson>, SqlError> {
    let rows = sql.query(
        "SELECT client FROM inbox WHERE room_id = +? AND seq >= ? AND kind = 'm.room.member' AND state_key = +?
         ORDER BY seq DESC LIMIT 1",
        &[room_id.as_str().into(), from.0.into(), user_id.as_str().into()],
    )?;
    Ok(rows.first().and_then(|row| RawJson::parse(row.string(0)?).ok()))
}

/// The thread that an event is in.
pub(crate) fn thread_of(sql: &impl Sql, room_id: &RoomId, event_id: &str) -> Result<Option<String>, SqlError> {
    let rows = sql.query(
        "SELECT thread FROM inbox WHERE room_id = ? AND event_id = ?",
        &[room_id.as_str().into(), event_id.into()],
    )?;
    Ok(rows.first().and_then(|row| row.string(0)))
}

/// Marks of events after `after`, up to and including `until`, of those that have not left the inbox.
pub(crate) fn notifications(
    sql: &impl Sql,
    room: &RoomRow,
    after: RoomSeq,
    until: RoomSeq,
) -> Result<Vec<(Notification, String)>, SqlError> {
    let rows = sql.query(
        "SELECT seq, mark, thread, event_id FROM inbox WHERE room_id = ? AND seq > ? AND seq <= ? AND mark > 0",
        &[room.room_id.as_str().into(), after.max(room.spare.previous()).0.into(), until.0.into()],
    )?;
    Ok(rows.iter().filter_map(|row| Some((notification(row)?, row.string(3)?))).collect())
}

/// A mark, with what is asked of its event.
pub(crate) struct Mark {
    pub(crate) pos: StreamPos,
    pub(crate) notification: Notification,
    pub(crate) kind: String,
    pub(crate) ts: Millis,
}

/// Marks of a room's events after a place, the newest first and at most `limit`.
pub(crate) fn marks_after(
    sql: &impl Sql,
    room: &RoomRow,
    (pos, seq): (StreamPos, RoomSeq),
    limit: u64,
) -> Result<Vec<Mark>, SqlError> {
    let rows = sql.query(
        "SELECT seq, mark, thread, pos, kind, ts FROM inbox
         WHERE room_id = +? AND seq >= ? AND mark > 0 AND (pos, seq) > (?, ?) ORDER BY seq DESC LIMIT +?",
        &[room.room_id.as_str().into(), room.spare.0.into(), pos.0.into(), seq.0.into(), limit.into()],
    )?;
    let mark = |row: &Row| {
        let (pos, ts) = (StreamPos(row.int(3)?), Millis(row.int(5)?));
        Some(Mark { pos, notification: notification(row)?, kind: row.string(4)?, ts })
    };
    Ok(rows.iter().filter_map(mark).collect())
}

/// An event that notifies, with the stream position at which it came.
pub(crate) struct Notifying {
    pub(crate) pos: StreamPos,
    pub(crate) notification: Notification,
    pub(crate) event: NoticeEvent,
}

/// At most `limit` of a room's events that notify (with `highlights`: that highlight), the newest first, of those before a
/// place if one is given.
pub(crate) fn notifying(
    sql: &impl Sql,
    room: &RoomRow,
    before: Option<(StreamPos, RoomSeq)>,
    highlights: bool,
    limit: u64,
) -> Result<Vec<Notifying>, SqlError> {
    let (pos, seq) = before.map_or((LAST, LAST), |(pos, seq)| (pos.0.min(LAST), seq.0.min(LAST)));
    let rows = sql.query(
        "SELECT seq, event_id, kind, sender, state_key, ts, client, txn_device, txn_id, mark, thread, pos FROM inbox
         WHERE room_id = +? AND seq >= ? AND mark >= ? AND (pos, seq) < (?, ?) ORDER BY seq DESC LIMIT +?",
        &[
            room.room_id.as_str().into(),
            room.spare.0.into(),
            (1 + u64::from(highlights)).into(),
            pos.into(),
            seq.into(),
            limit.into(),
        ],
    )?;
    let read = |row: &Row| {
        let event = event(row)?;
        let notification = Notification { seq: event.seq, highlight: row.int(9)? > 1, thread: row.string(10) };
        Some(Notifying { pos: StreamPos(row.int(11)?), notification, event })
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// Takes an event's mark away and gives it, if it has one.
pub(crate) fn drop_notification(
    sql: &impl Sql,
    room: &RoomRow,
    event_id: &EventId,
) -> Result<Option<Notification>, SqlError> {
    let key = [room.room_id.as_str().into(), room.spare.0.into(), event_id.as_str().into()];
    let rows = sql.query(
        "SELECT seq, mark, thread FROM inbox WHERE room_id = ? AND seq >= ? AND event_id = ? AND mark > 0",
        &key,
    )?;
    if !rows.is_empty() {
        sql.query("UPDATE inbox SET mark = 0 WHERE room_id = ? AND seq >= ? AND event_id = ?", &key)?;
    }
    Ok(rows.first().and_then(notification))
}

/// Position of the newest event but `keep`.
pub(crate) fn newest_but(sql: &impl Sql, room_id: &RoomId, keep: u64) -> Result<Option<RoomSeq>, SqlError> {
    let rows = sql.query(
        "SELECT seq FROM inbox WHERE room_id = +? ORDER BY seq DESC LIMIT 1 OFFSET ?",
        &[room_id.as_str().into(), keep.into()],
    )?;
    Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
}

/// One event, and when it came.
pub(crate) fn at(sql: &impl Sql, room_id: &RoomId, seq: RoomSeq) -> Result<Option<(StreamPos, NoticeEvent)>, SqlError> {
    let rows = sql.query(
        "SELECT seq, event_id, kind, sender, state_key, ts, client, txn_device, txn_id, pos FROM inbox
         WHERE room_id = ? AND seq = ?",
        &[room_id.as_str().into(), seq.0.into()],
    )?;
    Ok(rows.first().and_then(|row| Some((StreamPos(row.int(9)?), event(row)?))))
}

/// Drops the events of a room before `before`.
pub(crate) fn drop_before(sql: &impl Sql, room_id: &RoomId, before: RoomSeq) -> Result<(), SqlError> {
    sql.query("DELETE FROM inbox WHERE room_id = ? AND seq < ?", &[room_id.as_str().into(), before.0.into()])?;
    Ok(())
}

/// Drops all events of a room but one.
pub(crate) fn delete_room_but(sql: &impl Sql, room_id: &RoomId, kept: RoomSeq) -> Result<(), SqlError> {
    sql.query("DELETE FROM inbox WHERE room_id = ? AND seq <> ?", &[room_id.as_str().into(), kept.0.into()])?;
    Ok(())
}
