//! Rows of a server's object: how sending stands, and for each room how far the server is.

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_federation::{
    back_off::BackOff,
    queue::{MOST_PDUS, Progress},
};
use tern_model::{Millis, RoomSeq};
use tern_object_kit::schema::{NUMBER, Step};
use tern_ports::{Row, Sql, SqlError, Value};

/// `queue` is one row. A `lane` stays when all of it was sent, so that what is told again is not sent again.
pub(super) const TABLES: Step = &[
    NUMBER,
    "CREATE TABLE queue (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            birth INTEGER NOT NULL,
            counter INTEGER NOT NULL,
            txn TEXT,
            failures INTEGER NOT NULL,
            retry_at INTEGER NOT NULL,
            most INTEGER NOT NULL,
            refusals INTEGER NOT NULL,
            given_up INTEGER NOT NULL
        ) STRICT",
    "CREATE TABLE lane (
            room_id TEXT PRIMARY KEY,
            next INTEGER NOT NULL,
            last INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID",
];

/// How far the server is in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) room_id: OwnedRoomId,
    /// The first position that it was not sent.
    pub(super) next: RoomSeq,
    /// Up to here it is to be sent, at least. What it is told of while something waits is in memory alone: the room's hub
    /// is asked for all there is.
    pub(super) last: RoomSeq,
}

impl Lane {
    pub(super) fn is_pending(&self) -> bool {
        self.next <= self.last
    }
}

/// To-device messages that follow one another, both ends among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) through: u64,
}

/// A change of a user's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeviceChange {
    pub(super) user_id: OwnedUserId,
    pub(super) version: u64,
}

/// A transaction in flight, without the events in it, which the rooms have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transaction {
    /// Its id.
    pub(super) id: String,
    /// What is in it.
    pub(super) parts: Vec<Part>,
    /// Which to-device messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to_device: Option<Span>,
    /// Whose changed devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) devices: Vec<DeviceChange>,
}

/// A room's part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) room_id: OwnedRoomId,
    pub(super) from: RoomSeq,
    pub(super) through: RoomSeq,
}

/// The one row of `queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueRow {
    /// When the object came to be, so that no id is used again by one that comes after it.
    pub(super) birth: Millis,
    /// Transactions so far.
    pub(super) counter: u64,
    pub(super) txn: Option<Transaction>,
    pub(super) progress: Progress,
    /// Events that the server has refused for good.
    pub(super) given_up: u64,
}

impl QueueRow {
    pub(super) fn born(birth: Millis) -> Self {
        Self { birth, counter: 0, txn: None, progress: Progress::default(), given_up: 0 }
    }

    /// The id of the newest transaction.
    pub(super) fn newest_id(&self) -> String {
        format!("{}-{}", self.birth.0, self.counter)
    }
}

/// Access to the tables.
pub(super) struct Store<'a, S>(pub(super) &'a S);

impl<S: Sql> Store<'_, S> {
    pub(super) fn queue(&self) -> Result<Option<QueueRow>, SqlError> {
        let sql = "SELECT birth, counter, txn, failures, retry_at, most, refusals, given_up FROM queue";
        self.0.query(sql, &[])?.first().map(queue_of).transpose()
    }

    pub(super) fn put_queue(&self, row: &QueueRow) -> Result<(), SqlError> {
        let txn = row.txn.as_ref().map(serde_json::to_string).transpose().map_err(damaged)?;
        let params: [Value; 8] = [
            row.birth.0.into(),
            row.counter.into(),
            txn.into(),
            u64::from(row.progress.back_off.failures).into(),
            row.progress.back_off.until.0.into(),
            u64::from(row.progress.most).into(),
            u64::from(row.progress.refusals).into(),
            row.given_up.into(),
        ];
        self.0.query(
            "INSERT INTO queue VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
             counter = excluded.counter, txn = excluded.txn, failures = excluded.failures, retry_at = excluded.retry_at,
             most = excluded.most, refusals = excluded.refusals, given_up = excluded.given_up",
            &params,
        )?;
        Ok(())
    }

    pub(super) fn lane(&self, room_id: &OwnedRoomId) -> Result<Option<Lane>, SqlError> {
        let sql = "SELECT room_id, next, last FROM lane WHERE room_id = ?";
        self.0.query(sql, &[room_id.as_str().into()])?.first().map(lane_of).transpose()
    }

    /// Rooms of which something waits, at most so many.
    pub(super) fn pending(&self, limit: u32) -> Result<Vec<Lane>, SqlError> {
        let sql = "SELECT room_id, next, last FROM lane WHERE next <= last LIMIT +?";
        self.0.query(sql, &[u64::from(limit).into()])?.iter().map(lane_of).collect()
    }

    /// The same, beginning with the room that comes after this one: each has its turn.
    pub(super) fn pending_after(&self, room_id: &OwnedRoomId, limit: u32) -> Result<Vec<Lane>, SqlError> {
        let later = "SELECT room_id, next, last FROM lane WHERE room_id > ? AND next <= last ORDER BY room_id LIMIT +?";
        let earlier =
            "SELECT room_id, next, last FROM lane WHERE room_id <= ? AND next <= last ORDER BY room_id LIMIT +?";
        let mut rows = self.0.query(later, &[room_id.as_str().into(), u64::from(limit).into()])?;
        let left = u64::from(limit).saturating_sub(rows.len() as u64);
        if left > 0 {
            rows.extend(self.0.query(earlier, &[room_id.as_str().into(), left.into()])?);
        }
        rows.iter().map(lane_of).collect()
    }

    pub(super) fn put_lane(&self, lane: &Lane) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO lane VALUES (?, ?, ?) ON CONFLICT (room_id) DO UPDATE SET next = excluded.next, last = excluded.last",
            &[lane.room_id.as_str().into(), lane.next.0.into(), lane.last.0.into()],
        )?;
        Ok(())
    }

    /// Nothing waits any more.
    pub(super) fn clear(&self) -> Result<(), SqlError> {
        self.0.transaction(|| {
            self.0.query("DELETE FROM lane", &[])?;
            self.0.query("DELETE FROM queue", &[])?;
            Ok(())
        })
    }

    pub(super) fn drop_lane(&self, room_id: &OwnedRoomId) -> Result<(), SqlError> {
        self.0.query("DELETE FROM lane WHERE room_id = ?", &[room_id.as_str().into()])?;
        Ok(())
    }
}

fn queue_of(row: &Row) -> Result<QueueRow, SqlError> {
    let number = |index| row.int(index).ok_or_else(|| damaged("a number is missing"));
    let small = |index| Ok::<_, SqlError>(u32::try_from(number(index)?).unwrap_or(u32::MAX));
    Ok(QueueRow {
        birth: Millis(number(0)?),
        counter: number(1)?,
        txn: row.text(2).map(serde_json::from_str).transpose().map_err(damaged)?,
        progress: Progress {
            back_off: BackOff { failures: small(3)?, until: Millis(number(4)?) },
            most: small(5)?.clamp(1, MOST_PDUS),
            refusals: small(6)?,
        },
        given_up: number(7)?,
    })
}

fn lane_of(row: &Row) -> Result<Lane, SqlError> {
    let number = |index| row.int(index).map(RoomSeq).ok_or_else(|| damaged("a number is missing"));
    let room_id = OwnedRoomId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
    Ok(Lane { room_id, next: number(1)?, last: number(2)? })
}

pub(super) fn damaged(error: impl std::fmt::Display) -> SqlError {
    SqlError(format!("damaged row: {error}"))
}
