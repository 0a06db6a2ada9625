//! The rows of the current state, receipts and failed recipients.

use ruma::{OwnedEventId, OwnedUserId};
use tern_model::{Millis, Receipt, RoomSeq, StoredEvent};
use tern_ports::{Row, Sql, SqlError, Value};

use crate::timeline::store::{Store, all, damaged, event_columns, one, seq_value};

/// Columns of a current state event `e`, with the position at which it became state in the place of its own.
macro_rules! state_columns {
    () => {
        "coalesce(s.since, e.seq), e.event_id, e.kind, e.sender, e.state_key, e.ts, e.pdu, e.unsigned, e.device_id, e.txn_id"
    };
}

/// `*` in a pattern of types and state keys.
const ANY: &str = "*";

impl<S: Sql> Store<'_, S> {
    /// The current state event of a type and state key.
    pub(crate) fn state(self, kind: &str, state_key: &str) -> Result<Option<StoredEvent>, SqlError> {
        let sql = concat!(
            "SELECT ",
            event_columns!(),
            " FROM state s JOIN events e ON e.seq = s.seq WHERE s.kind = +? AND s.state_key = +?"
        );
        one(self.0.query(sql, &[kind.into(), state_key.into()])?)
    }

    /// Makes the event at `seq` the current one of its type and state key, `since` another position if it was not at once.
    pub(crate) fn put_state(
        self,
        (kind, state_key): (&str, &str),
        (seq, since): (RoomSeq, Option<RoomSeq>),
        membership: Option<&str>,
    ) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO state (kind, state_key, seq, membership, since) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (kind, state_key) DO UPDATE
             SET seq = excluded.seq, membership = excluded.membership, since = excluded.since, forgotten = 0",
            &[kind.into(), state_key.into(), seq.0.into(), membership.into(), seq_value(since)],
        )?;
        Ok(())
    }

    /// Takes a type and state key out of the current state.
    pub(crate) fn drop_state(self, kind: &str, state_key: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM state WHERE kind = ? AND state_key = ?", &[kind.into(), state_key.into()])?;
        Ok(())
    }

    /// Current state that matches a pattern and became state after `after`, in the order and with the positions of that.
    pub(crate) fn state_like(self, kind: &str, state_key: &str, after: RoomSeq) -> Result<Vec<StoredEvent>, SqlError> {
        const FROM: &str = concat!(
            "SELECT ",
            state_columns!(),
            " FROM state s JOIN events e ON e.seq = s.seq WHERE coalesce(s.since, s.seq) > ?"
        );
        let mut sql = FROM.to_owned();
        let mut params: Vec<Value> = vec![after.0.into()];
        for (column, wanted) in [(" AND s.kind = +?", kind), (" AND s.state_key = +?", state_key)] {
            if wanted != ANY {
                sql.push_str(column);
                params.push(wanted.into());
            }
        }
        sql.push_str(" ORDER BY coalesce(s.since, s.seq)");
        all(self.0.query(&sql, &params)?)
    }

    /// Current state but the members', that became state after `after`, in the order and with the positions of that.
    pub(crate) fn state_beside_members(self, after: RoomSeq) -> Result<Vec<StoredEvent>, SqlError> {
        let sql = concat!(
            "SELECT ",
            state_columns!(),
            " FROM state s JOIN events e ON e.seq = s.seq
             WHERE coalesce(s.since, s.seq) > ? AND s.kind <> 'm.room.member' ORDER BY coalesce(s.since, s.seq)"
        );
        all(self.0.query(sql, &[after.0.into()])?)
    }

    /// Current state that matches a pattern, in the order of its keys and with the positions at which it became state: at
    /// most `limit` beyond `after`.
    pub(crate) fn state_page(
        self,
        (kind, state_key): (&str, &str),
        after: (&str, &str),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, SqlError> {
        const FROM: &str = concat!(
            "SELECT ",
            state_columns!(),
            " FROM state s JOIN events e ON e.seq = s.seq WHERE (s.kind, s.state_key) > (?, ?)"
        );
        let mut sql = FROM.to_owned();
        let mut params: Vec<Value> = vec![after.0.into(), after.1.into()];
        for (column, wanted) in [(" AND s.kind = +?", kind), (" AND s.state_key = +?", state_key)] {
            if wanted != ANY {
                sql.push_str(column);
                params.push(wanted.into());
            }
        }
        sql.push_str(" ORDER BY s.kind, s.state_key LIMIT +?");
        params.push(u64::from(limit).into());
        all(self.0.query(&sql, &params)?)
    }

    /// What of the current state became state after `after`.
    pub(crate) fn state_keys_since(self, after: RoomSeq) -> Result<Vec<(String, String)>, SqlError> {
        let rows =
            self.0.query("SELECT kind, state_key FROM state WHERE coalesce(since, seq) > ?", &[after.0.into()])?;
        let keys = rows.iter().filter_map(|row| Some((row.string(0)?, row.string(1)?)));
        Ok(keys.collect())
    }

    /// A user's membership and the position since which it is so.
    pub(crate) fn membership(self, user_id: &str) -> Result<Option<(RoomSeq, String)>, SqlError> {
        let rows = self.0.query(
            "SELECT coalesce(since, seq), membership FROM state WHERE kind = 'm.room.member' AND state_key = ?",
            &[user_id.into()],
        )?;
        Ok(rows.first().and_then(|row| Some((RoomSeq(row.int(0)?), row.string(1)?))))
    }

    /// The user has forgotten the room since the last change of membership.
    pub(crate) fn has_forgotten(self, user_id: &str) -> Result<bool, SqlError> {
        let rows = self
            .0
            .query("SELECT forgotten FROM state WHERE kind = 'm.room.member' AND state_key = ?", &[user_id.into()])?;
        Ok(rows.first().is_some_and(|row| row.flag(0)))
    }

    /// Remembers that the user has forgotten the room, until the next change of membership.
    pub(crate) fn forget(self, user_id: &str) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE state SET forgotten = 1 WHERE kind = 'm.room.member' AND state_key = ?",
            &[user_id.into()],
        )?;
        Ok(())
    }

    /// Joined members with the positions since which their member events are state, by the position of these.
    pub(crate) fn joined(self, limit: Option<usize>) -> Result<Vec<(OwnedUserId, RoomSeq)>, SqlError> {
        let limit = limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        let rows = self.0.query(
            "SELECT state_key, coalesce(since, seq) FROM state WHERE membership = 'join' ORDER BY seq LIMIT +?",
            &[limit.into()],
        )?;
        Ok(rows.iter().filter_map(member_of).collect())
    }

    /// Some user of a server is joined.
    pub(crate) fn has_joined(self, server: &str) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM state WHERE membership = 'join' AND substr(state_key, instr(state_key, ':') + 1) = ? LIMIT 1",
            &[server.into()],
        )?;
        Ok(!rows.is_empty())
    }

    /// Some users of a server who are or were members, those first who are, and of them whose membership is the oldest.
    pub(crate) fn users_of(self, server: &str) -> Result<Vec<OwnedUserId>, SqlError> {
        let rows = self.0.query(
            "SELECT state_key FROM state WHERE membership IS NOT NULL AND substr(state_key, instr(state_key, ':') + 1) = +?
             ORDER BY membership <> 'join', seq LIMIT 10",
            &[server.into()],
        )?;
        rows.iter().map(|row| OwnedUserId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)).collect()
    }

    /// The first member events of these memberships, by position.
    pub(crate) fn first_members(self, memberships: [&str; 2], limit: usize) -> Result<Vec<StoredEvent>, SqlError> {
        let sql = concat!(
            "SELECT ",
            event_columns!(),
            " FROM state s JOIN events e ON e.seq = s.seq WHERE s.membership = +? ORDER BY s.seq LIMIT +?"
        );
        let mut found = Vec::new();
        for membership in memberships {
            found.extend(all(self.0.query(sql, &[membership.into(), (limit as u64).into()])?)?);
        }
        found.sort_by_key(|event| event.seq);
        found.truncate(limit);
        Ok(found)
    }

    /// All member events of this membership, by position.
    pub(crate) fn members(self, membership: &str) -> Result<Vec<StoredEvent>, SqlError> {
        let sql = concat!(
            "SELECT ",
            event_columns!(),
            " FROM state s JOIN events e ON e.seq = s.seq WHERE s.membership = +? ORDER BY s.seq"
        );
        all(self.0.query(sql, &[membership.into()])?)
    }

    /// The stored receipt of a user, kind and thread.
    pub(crate) fn receipt(self, user_id: &str, kind: &str, thread_id: &str) -> Result<Option<Receipt>, SqlError> {
        let rows = self.0.query(
            "SELECT user_id, kind, thread_id, event_id, seq, ts FROM receipts
             WHERE user_id = ? AND kind = ? AND thread_id = ?",
            &[user_id.into(), kind.into(), thread_id.into()],
        )?;
        rows.first().map(receipt_of).transpose()
    }

    /// The newest public receipts.
    pub(crate) fn public_receipts(self, limit: u32) -> Result<Vec<Receipt>, SqlError> {
        let rows = self.0.query(
            "SELECT user_id, kind, thread_id, event_id, seq, ts FROM receipts
             WHERE kind = 'm.read' ORDER BY ts DESC LIMIT +?",
            &[u64::from(limit).into()],
        )?;
        rows.iter().map(receipt_of).collect()
    }

    /// Stores a receipt in the place of the one before it.
    pub(crate) fn put_receipt(self, receipt: &Receipt) -> Result<(), SqlError> {
        let params = [
            receipt.user_id.as_str().into(),
            receipt.kind.as_str().into(),
            receipt.thread_id.as_deref().unwrap_or_default().into(),
            receipt.event_id.as_str().into(),
            seq_value(receipt.seq),
            receipt.ts.0.into(),
        ];
        self.0.query(
            "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (user_id, kind, thread_id)
             DO UPDATE SET event_id = excluded.event_id, seq = excluded.seq, ts = excluded.ts",
            &params,
        )?;
        if receipt.thread_id.is_some() { self.drop_oldest_threads(receipt) } else { Ok(()) }
    }

    /// Users whose hubs could not be told, with the first position they miss.
    pub(crate) fn failed_recipients(self) -> Result<Vec<(OwnedUserId, RoomSeq)>, SqlError> {
        let rows = self.0.query("SELECT user_id, from_seq FROM laggards", &[])?;
        Ok(rows.iter().filter_map(member_of).collect())
    }

    /// Remembers that a user's hub misses everything from `from` on.
    pub(crate) fn put_failed_recipient(self, user_id: &str, from: RoomSeq) -> Result<(), SqlError> {
        self.0.query("INSERT OR REPLACE INTO laggards VALUES (?, ?)", &[user_id.into(), from.0.into()])?;
        Ok(())
    }

    /// The user's hub misses nothing any more.
    pub(crate) fn drop_failed_recipient(self, user_id: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM laggards WHERE user_id = ?", &[user_id.into()])?;
        Ok(())
    }
}

pub(crate) fn member_of(row: &Row) -> Option<(OwnedUserId, RoomSeq)> {
    Some((OwnedUserId::try_from(row.text(0)?).ok()?, RoomSeq(row.int(1)?)))
}

fn receipt_of(row: &Row) -> Result<Receipt, SqlError> {
    Ok(Receipt {
        user_id: OwnedUserId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?,
        kind: row.string(1).unwrap_or_default(),
        thread_id: row
            .text(2)
            .filter(|thread_id| !thread_id.is_empty())
            .and_then(|thread_id| thread_id.try_into().ok()),
        event_id: OwnedEventId::try_from(row.text(3).unwrap_or_default()).map_err(damaged)?,
        seq: row.int(4).map(RoomSeq),
        ts: Millis(row.int(5).unwrap_or_default()),
    })
}
