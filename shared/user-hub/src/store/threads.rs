//! Threads that the user follows or has left.

use ruma::{EventId, OwnedRoomId, RoomId};
use tern_model::{RoomSeq, StreamPos};
use tern_ports::{Row, Sql, SqlError};
use tern_sync::ThreadSubscription;

use super::Span;

/// A row for every thread that was ever followed, and the newest position of each change.
pub(crate) const TABLES: &[&str] = &[
    "ALTER TABLE hub ADD COLUMN threads INTEGER NOT NULL DEFAULT 0",
    // `state`: 0 left, 1 followed by the person, 2 by a client of itself. `left_at`: the room's newest position then.
    "CREATE TABLE IF NOT EXISTS thread (
        room_id TEXT NOT NULL, root TEXT NOT NULL, state INTEGER NOT NULL, left_at INTEGER NOT NULL,
        pos INTEGER NOT NULL, PRIMARY KEY (room_id, root)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS thread_pos ON thread (pos)",
];

/// How the user stands to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Followed once.
    Left,
    /// Followed by the person.
    Manual,
    /// Followed by a client of itself.
    Automatic,
}

impl State {
    /// `automatic` of a thread that is followed.
    pub(crate) fn automatic(self) -> Option<bool> {
        (self != Self::Left).then_some(self == Self::Automatic)
    }

    const fn number(self) -> u64 {
        match self {
            Self::Left => 0,
            Self::Manual => 1,
            Self::Automatic => 2,
        }
    }

    const fn of(number: u64) -> Self {
        match number {
            1 => Self::Manual,
            2 => Self::Automatic,
            _ => Self::Left,
        }
    }
}

/// One thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadRow {
    pub(crate) state: State,
    /// The room's newest position when the thread was left last.
    pub(crate) left: RoomSeq,
    /// The change.
    pub(crate) at: StreamPos,
}

pub(crate) fn read(sql: &impl Sql, room_id: &RoomId, root: &EventId) -> Result<Option<ThreadRow>, SqlError> {
    read_by_text(sql, room_id, root.as_str())
}

/// As [`read`], by an id as an event has it.
pub(crate) fn read_by_text(sql: &impl Sql, room_id: &RoomId, root: &str) -> Result<Option<ThreadRow>, SqlError> {
    let rows = sql.query(
        "SELECT state, left_at, pos FROM thread WHERE room_id = ? AND root = ?",
        &[room_id.as_str().into(), root.into()],
    )?;
    let thread = |row: &Row| {
        Some(ThreadRow { state: State::of(row.int(0)?), left: RoomSeq(row.int(1)?), at: StreamPos(row.int(2)?) })
    };
    Ok(rows.first().and_then(thread))
}

pub(crate) fn write(sql: &impl Sql, room_id: &RoomId, root: &EventId, row: &ThreadRow) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO thread (room_id, root, state, left_at, pos) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET state = excluded.state, left_at = excluded.left_at, pos = excluded.pos",
        &[room_id.as_str().into(), root.as_str().into(), row.state.number().into(), row.left.0.into(), row.at.0.into()],
    )?;
    Ok(())
}

pub(crate) fn count(sql: &impl Sql) -> Result<u64, SqlError> {
    let rows = sql.query("SELECT count(*) FROM thread", &[])?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}

/// Changes in `span`, the newest first.
pub(crate) fn changed(sql: &impl Sql, span: Span, limit: u64) -> Result<Vec<ThreadSubscription>, SqlError> {
    let [after, until] = span.params();
    let rows = sql.query(
        "SELECT room_id, root, state, pos FROM thread WHERE pos > ? AND pos <= ? ORDER BY pos DESC LIMIT +?",
        &[after, until, limit.into()],
    )?;
    let change = |row: &Row| {
        Some(ThreadSubscription {
            room_id: OwnedRoomId::try_from(row.text(0)?).ok()?,
            root: row.string(1)?,
            automatic: State::of(row.int(2)?).automatic(),
            at: StreamPos(row.int(3)?),
        })
    };
    Ok(rows.iter().filter_map(change).collect())
}

pub(crate) fn delete_room(sql: &impl Sql, room_id: &RoomId) -> Result<(), SqlError> {
    sql.query("DELETE FROM thread WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(())
}
