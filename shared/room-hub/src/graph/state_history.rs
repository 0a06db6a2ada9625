//! What remains of events that are gone: the way back along the current-state log, and along auth chains. It is
//! bounded; what is dropped here, the storage worker still has.

use std::collections::HashMap;

use ruma::OwnedEventId;
use tern_model::RoomSeq;
use tern_ports::{Row, Sql, SqlError};

use crate::timeline::store::{Store, damaged};

/// Superseded state events of which something remains, and resolution changes.
pub(crate) const STATE_HISTORY_KEPT: u64 = 10_000;

/// Keys of the state that one statement is asked about: each takes up to 3 kB of JSON, and a parameter two megabytes.
pub(crate) const KEYS_AT_ONCE: usize = 500;

impl<S: Sql> Store<'_, S> {
    /// Whether the auth events of an event are known.
    pub(crate) fn knows_auth_of(self, event_id: &str) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM events WHERE event_id = ? UNION ALL SELECT 1 FROM past WHERE event_id = ?
             UNION ALL SELECT 1 FROM aside WHERE event_id = ? LIMIT 1",
            &[event_id.into(), event_id.into(), event_id.into()],
        )?;
        Ok(!rows.is_empty())
    }

    /// The auth events of all events of the current state, and how often each is cited. That takes all bytes of the state.
    pub(crate) fn cited_by_state(self) -> Result<HashMap<OwnedEventId, u64>, SqlError> {
        let rows = self.0.query(
            "SELECT iif(a.type = 'array', a.value ->> 0, a.value), count(*)
             FROM state s CROSS JOIN events e ON e.seq = s.seq CROSS JOIN json_each(e.pdu, '$.auth_events') a GROUP BY 1",
            &[],
        )?;
        let count = |row: &Row| {
            let event_id = OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
            Ok((event_id, row.int(1).unwrap_or_default()))
        };
        rows.iter().map(count).collect()
    }

    /// Leaves of the superseded state events in `(after, until]` what is needed of them later. They are then trimmed.
    pub(crate) fn keep_state_history(self, after: RoomSeq, until: RoomSeq) -> Result<(), SqlError> {
        self.0.query(
            "INSERT OR IGNORE INTO past (event_id, seq, kind, state_key, replaced, auth)
             SELECT event_id, seq, kind, state_key, unsigned ->> '$.replaces_state', pdu -> '$.auth_events' FROM events
             WHERE seq > ? AND seq <= ? AND state_key IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM state s WHERE s.kind = events.kind AND s.state_key = events.state_key AND s.seq = events.seq)",
            &[after.0.into(), until.0.into()],
        )?;
        Ok(())
    }

    /// From this position on everything is known that the current-state log is rolled back by.
    pub(crate) fn known_from(self) -> Result<RoomSeq, SqlError> {
        let rows = self.0.query("SELECT known_from FROM head", &[])?;
        rows.first().and_then(|row| row.int(0)).map(RoomSeq).ok_or_else(|| damaged("the head is gone"))
    }

    /// Forgets what is older than the newest [`STATE_HISTORY_KEPT`] superseded events or resolution changes. `until` is
    /// where the tail begins: up to there the storage worker has everything. The newest resolution change stays, since
    /// it says that the room has been resolved.
    pub(crate) fn compact_state_history(self, until: RoomSeq, newest: RoomSeq) -> Result<(), SqlError> {
        let mut oldest = 0;
        for sql in [
            "SELECT seq FROM past WHERE seq <= ? ORDER BY seq DESC LIMIT 1 OFFSET ?",
            "SELECT seq FROM turns WHERE seq <= ? ORDER BY seq DESC LIMIT 1 OFFSET ?",
        ] {
            let rows = self.0.query(sql, &[until.0.into(), STATE_HISTORY_KEPT.into()])?;
            oldest = rows.first().and_then(|row| row.int(0)).unwrap_or_default().max(oldest);
        }
        if oldest > 0 {
            self.rebase_state_groups(RoomSeq(oldest), newest)?;
            self.0.query("DELETE FROM past WHERE seq <= ?", &[oldest.into()])?;
            self.0
                .query("DELETE FROM turns WHERE seq <= ? AND seq < (SELECT max(seq) FROM turns)", &[oldest.into()])?;
            self.0.query("UPDATE head SET known_from = max(known_from, ?)", &[oldest.into()])?;
        }
        Ok(())
    }
}
