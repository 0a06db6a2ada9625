//! The room's rows: head, events, journal.

use ruma::OwnedEventId;
use tern_model::{Millis, RawJson, RoomSeq, StoredEvent, TxnRef};
use tern_object_kit::schema::Step;
use tern_ports::{
    Row, Sql, SqlError, Value,
    wire::storage::{AppendEvent, Redaction},
};
use tern_room::Version;

/// The room in one row.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) version: &'static Version,
    /// Position of the newest event; zero only while the room is being made.
    pub(crate) newest: RoomSeq,
    /// Depth of the newest event.
    pub(crate) depth: u64,
    /// The forward extremities in the order in which they came: with only local events, the newest one.
    pub(crate) extremities: Vec<OwnedEventId>,
    /// Up to here the storage worker has the events. In memory it may be ahead of the row.
    pub(crate) forwarded: RoomSeq,
    /// Up to here members' hubs were told, or stand among the failed recipients. In memory it may be ahead of the row.
    pub(crate) announced: RoomSeq,
    /// Up to here events were trimmed, except those of the current state.
    pub(crate) tail: RoomSeq,
    /// Members with membership `join`.
    pub(crate) joined: u64,
    /// Members with membership `invite`.
    pub(crate) invited: u64,
    /// The last position at which the state moved otherwise than by the event there taking its place; zero in a room that
    /// never forked. Its truth is the table `turns`.
    pub(crate) resolved: RoomSeq,
    /// Only those who listen are told: the table `listeners`. Once so, always so.
    pub(crate) large: bool,
    /// Until when some event may be sticky; zero while there is none.
    pub(crate) sticky: Millis,
    /// What the current state weighs; not yet counted in a room of an earlier build.
    pub(crate) state_bytes: Option<u64>,
    /// What the events above `tail` weigh, as the table has them; likewise.
    pub(crate) tail_bytes: Option<u64>,
    /// Extremities were given up, and the state of then is resolved along with those kept. Its truth is the table `forks`.
    pub(crate) former: bool,
}

impl Head {
    /// A room without events.
    pub(crate) fn empty(version: &'static Version) -> Self {
        let zero = RoomSeq::default();
        Self {
            version,
            newest: zero,
            depth: 0,
            extremities: Vec::new(),
            forwarded: zero,
            announced: zero,
            tail: zero,
            joined: 0,
            invited: 0,
            resolved: zero,
            large: false,
            sticky: Millis::default(),
            state_bytes: Some(0),
            tail_bytes: Some(0),
            former: false,
        }
    }
}

/// When an event came in; nothing for those from before this was kept, which are old.
pub(crate) const RECEIVED: Step = &["ALTER TABLE events ADD COLUMN received INTEGER"];

/// Columns of an event, in the order [`event_of`] reads them.
macro_rules! event_columns {
    () => {
        "e.seq, e.event_id, e.kind, e.sender, e.state_key, e.ts, e.pdu, e.unsigned, e.device_id, e.txn_id"
    };
}
pub(crate) use event_columns;

const INSERT_EVENT: &str = "INSERT INTO events
    (seq, event_id, kind, sender, state_key, ts, pdu, unsigned, device_id, txn_id, redaction, received)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Access to the room's tables.
#[derive(Debug)]
pub(crate) struct Store<'a, S>(pub(crate) &'a S);

impl<S> Clone for Store<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Store<'_, S> {}

impl<S: Sql> Store<'_, S> {
    /// The head, of a room that exists.
    pub(crate) fn head(self) -> Result<Option<Head>, SqlError> {
        let rows = self.0.query(
            "SELECT version, newest, depth, extremities, forwarded, announced, tail, joined, invited,
                 (SELECT coalesce(max(seq), 0) FROM turns), large, sticky, state_bytes, tail_bytes,
                 EXISTS (SELECT 1 FROM forks WHERE event_id = '') FROM head",
            &[],
        )?;
        rows.first().map(head_of).transpose()
    }

    /// Writes the head, for the first time or again: one row.
    pub(crate) fn write_head(self, head: &Head) -> Result<(), SqlError> {
        let extremities = serde_json::to_string(&head.extremities).map_err(damaged)?;
        let params = [
            head.version.id.into(),
            head.newest.0.into(),
            head.depth.into(),
            extremities.into(),
            head.forwarded.0.into(),
            head.announced.0.into(),
            head.tail.0.into(),
            head.joined.into(),
            head.invited.into(),
            head.large.into(),
            head.sticky.0.into(),
            head.state_bytes.into(),
            head.tail_bytes.into(),
        ];
        self.0.query(
            "INSERT INTO head (id, version, newest, depth, extremities, forwarded, announced, tail, joined, invited,
                 large, sticky, state_bytes, tail_bytes)
             VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, newest = excluded.newest, depth = excluded.depth,
                 extremities = excluded.extremities, forwarded = excluded.forwarded, announced = excluded.announced,
                 tail = excluded.tail, joined = excluded.joined, invited = excluded.invited,
                 large = excluded.large, sticky = excluded.sticky, state_bytes = excluded.state_bytes,
                 tail_bytes = excluded.tail_bytes",
            &params,
        )?;
        Ok(())
    }

    /// Appends an event that came in at `received`; `redaction` is what it did to another one, for the journal.
    pub(crate) fn insert_event(
        self,
        event: &StoredEvent,
        received: Millis,
        redaction: Option<&Redaction>,
    ) -> Result<(), SqlError> {
        let redaction = redaction.map(serde_json::to_string).transpose().map_err(damaged)?;
        let txn = event.txn.as_ref();
        let params = [
            event.seq.0.into(),
            event.event_id.as_str().into(),
            event.kind.as_str().into(),
            event.sender.as_str().into(),
            event.state_key.clone().into(),
            event.ts.0.into(),
            event.pdu.text().into(),
            event.unsigned.as_ref().map(RawJson::text).into(),
            txn.map(|txn| txn.device_id.as_str()).into(),
            txn.map(|txn| txn.txn_id.as_str()).into(),
            redaction.into(),
            received.0.into(),
        ];
        self.0.query(INSERT_EVENT, &params)?;
        Ok(())
    }

    /// Replaces what a redaction changes.
    pub(crate) fn rewrite_event(self, seq: RoomSeq, pdu: &RawJson, unsigned: Option<&RawJson>) -> Result<(), SqlError> {
        let params = [pdu.text().into(), unsigned.map(RawJson::text).into(), seq.0.into()];
        self.0.query("UPDATE events SET pdu = ?, unsigned = ? WHERE seq = ?", &params)?;
        Ok(())
    }

    /// Removes one event.
    pub(crate) fn drop_event(self, seq: RoomSeq) -> Result<(), SqlError> {
        self.0.query("DELETE FROM events WHERE seq = ?", &[seq.0.into()])?;
        Ok(())
    }

    /// An event by id, if it is here.
    pub(crate) fn event(self, event_id: &str) -> Result<Option<StoredEvent>, SqlError> {
        let sql = concat!("SELECT ", event_columns!(), " FROM events e WHERE e.event_id = ?");
        one(self.0.query(sql, &[event_id.into()])?)
    }

    /// Position of an event, if it is here.
    pub(crate) fn seq_of(self, event_id: &str) -> Result<Option<RoomSeq>, SqlError> {
        let rows = self.0.query("SELECT seq FROM events WHERE event_id = ?", &[event_id.into()])?;
        Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
    }

    /// The event that a transaction of a device made.
    pub(crate) fn event_of_txn(self, sender: &str, txn: &TxnRef, kind: &str) -> Result<Option<OwnedEventId>, SqlError> {
        let params = [sender.into(), txn.device_id.as_str().into(), txn.txn_id.as_str().into(), kind.into()];
        let rows = self.0.query(
            "SELECT event_id FROM events
             WHERE txn_id IS NOT NULL AND sender = ? AND device_id = ? AND txn_id = ? AND kind = ?",
            &params,
        )?;
        rows.first().map(|row| event_id_of(row, 0)).transpose()
    }

    /// Events with positions in `(after, until]`, of which those of the tail are without gaps.
    pub(crate) fn events(
        self,
        after: RoomSeq,
        until: RoomSeq,
        backwards: bool,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, SqlError> {
        let sql = if backwards {
            concat!("SELECT ", event_columns!(), " FROM events e WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT +?")
        } else {
            concat!("SELECT ", event_columns!(), " FROM events e WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT +?")
        };
        all(self.0.query(sql, &[after.0.into(), until.0.into(), u64::from(limit).into()])?)
    }

    /// Events of one type and state key with positions above `after` that became current, oldest first.
    pub(crate) fn changes(self, after: RoomSeq, kind: &str, state_key: &str) -> Result<Vec<StoredEvent>, SqlError> {
        let sql = concat!(
            "SELECT ",
            event_columns!(),
            " FROM events e WHERE seq > ? AND kind = +? AND state_key = +? AND NOT EXISTS
                 (SELECT 1 FROM turns t WHERE t.seq = e.seq AND t.kind = e.kind AND t.state_key = e.state_key)
             ORDER BY seq"
        );
        all(self.0.query(sql, &[after.0.into(), kind.into(), state_key.into()])?)
    }

    /// The journal above `after`, oldest first.
    pub(crate) fn journal(self, after: RoomSeq, limit: u32) -> Result<Vec<AppendEvent>, SqlError> {
        let sql = concat!(
            "SELECT ",
            event_columns!(),
            ", e.redaction, e.state_key IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM turns t WHERE t.seq = e.seq AND t.kind = e.kind AND t.state_key = e.state_key)
             FROM events e WHERE seq > ? ORDER BY seq LIMIT +?"
        );
        let rows = self.0.query(sql, &[after.0.into(), u64::from(limit).into()])?;
        rows.into_iter().map(entry_of).collect()
    }

    /// Position of the oldest event in `(after, until]` that came in after `time`, whatever its sender dates it.
    pub(crate) fn first_since(self, after: RoomSeq, until: RoomSeq, time: Millis) -> Result<Option<RoomSeq>, SqlError> {
        let rows = self.0.query(
            "SELECT min(seq) FROM events WHERE seq > ? AND seq <= ? AND received > ?",
            &[after.0.into(), until.0.into(), time.0.into()],
        )?;
        Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
    }

    /// Removes the events in `(after, until]` that are not part of the current state.
    pub(crate) fn trim(self, after: RoomSeq, until: RoomSeq) -> Result<(), SqlError> {
        self.0.query(
            "DELETE FROM events WHERE seq > ? AND seq <= ? AND NOT EXISTS
                 (SELECT 1 FROM state s WHERE s.kind = events.kind AND s.state_key = events.state_key AND s.seq = events.seq)",
            &[after.0.into(), until.0.into()],
        )?;
        Ok(())
    }
}

fn head_of(row: &Row) -> Result<Head, SqlError> {
    let number = |index| row.int(index).ok_or_else(|| SqlError(format!("head column {index} is damaged")));
    let version = row.text(0).unwrap_or_default();
    Ok(Head {
        version: Version::known(version).ok_or_else(|| SqlError(format!("room version `{version}` is unknown")))?,
        newest: RoomSeq(number(1)?),
        depth: number(2)?,
        extremities: serde_json::from_str(row.text(3).unwrap_or_default()).map_err(damaged)?,
        forwarded: RoomSeq(number(4)?),
        announced: RoomSeq(number(5)?),
        tail: RoomSeq(number(6)?),
        joined: number(7)?,
        invited: number(8)?,
        resolved: RoomSeq(number(9)?),
        large: row.flag(10),
        sticky: Millis(number(11)?),
        state_bytes: row.int(12),
        tail_bytes: row.int(13),
        former: row.flag(14),
    })
}

/// Reads a row of [`event_columns`], whose texts become the event's.
pub(crate) fn event_of(mut row: Row) -> Result<StoredEvent, SqlError> {
    let lacking = |index| SqlError(format!("event column {index} is damaged"));
    let number = |index| row.int(index).ok_or_else(|| lacking(index));
    let (seq, ts) = (RoomSeq(number(0)?), Millis(number(5)?));
    let event_id = event_id_of(&row, 1)?;
    let mut text = |index| row.take_string(index);
    let txn = text(8).zip(text(9));
    Ok(StoredEvent {
        seq,
        event_id,
        kind: text(2).ok_or_else(|| lacking(2))?,
        sender: text(3).ok_or_else(|| lacking(3))?,
        state_key: text(4),
        ts,
        pdu: text(6).map(RawJson::parse).ok_or_else(|| lacking(6))?.map_err(damaged)?,
        unsigned: text(7).map(RawJson::parse).transpose().map_err(damaged)?,
        txn: txn.map(|(device_id, txn_id)| TxnRef { device_id: device_id.into(), txn_id }),
    })
}

fn entry_of(row: Row) -> Result<AppendEvent, SqlError> {
    Ok(AppendEvent {
        is_state: row.flag(11),
        redaction: row.text(10).map(serde_json::from_str).transpose().map_err(damaged)?,
        event: event_of(row)?,
        resolutions: Vec::new(),
    })
}

/// The rows go as the events come to be, so that there are never two of each.
pub(crate) fn all(rows: Vec<Row>) -> Result<Vec<StoredEvent>, SqlError> {
    rows.into_iter().map(event_of).collect()
}

pub(crate) fn one(rows: Vec<Row>) -> Result<Option<StoredEvent>, SqlError> {
    rows.into_iter().next().map(event_of).transpose()
}

fn event_id_of(row: &Row, index: usize) -> Result<OwnedEventId, SqlError> {
    OwnedEventId::try_from(row.text(index).unwrap_or_default()).map_err(damaged)
}

/// A row that was written well cannot be read.
pub(crate) fn damaged(error: impl std::fmt::Display) -> SqlError {
    SqlError(format!("damaged row: {error}"))
}

/// An optional number as a parameter.
pub(crate) fn seq_value(seq: Option<RoomSeq>) -> Value {
    seq.map(|seq| seq.0).into()
}
