//! The room's events and the journal.

use ruma::OwnedEventId;
use tern_model::{Millis, RawJson, RoomSeq, StoredEvent, TxnRef};
use tern_object_kit::schema::Step;
use tern_ports::{
    Row, Sql, SqlError, Value,
    wire::storage::{AppendEvent, Redaction},
};

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

pub(crate) fn event_id_of(row: &Row, index: usize) -> Result<OwnedEventId, SqlError> {
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
