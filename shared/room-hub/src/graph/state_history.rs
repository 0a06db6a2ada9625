//! What remains of events that are gone: the way back along the current-state log, and along auth chains. It is
//! bounded; what is dropped here, the storage worker still has.

use std::collections::BTreeSet;

use ruma::OwnedEventId;
use serde::Deserialize;
use tern_model::RoomSeq;
use tern_ports::{Sql, SqlError};
use tern_room::Key;

use crate::timeline::store::{Store, damaged};

/// Superseded state events of which something remains, and resolution changes.
pub(crate) const STATE_HISTORY_KEPT: u64 = 10_000;

impl<S: Sql> Store<'_, S> {
    /// The auth events of a known event.
    pub(crate) fn auth_of(self, event_id: &str) -> Result<Option<Vec<OwnedEventId>>, SqlError> {
        let rows = self.0.query(
            "SELECT pdu -> '$.auth_events' FROM events WHERE event_id = ?
             UNION ALL SELECT auth FROM past WHERE event_id = ?
             UNION ALL SELECT pdu -> '$.auth_events' FROM aside WHERE event_id = ? LIMIT 1",
            &[event_id.into(), event_id.into(), event_id.into()],
        )?;
        rows.first().map(|row| read_references(row.text(0).unwrap_or("[]"))).transpose()
    }

    /// The auth events, each once, of all events of the current state but those under `except`.
    pub(crate) fn auth_events_except(self, except: &BTreeSet<&Key>) -> Result<BTreeSet<OwnedEventId>, SqlError> {
        let except: Vec<String> = except.iter().map(|(kind, key)| format!("{kind}\u{1f}{key}")).collect();
        let rows = self.0.query(
            "SELECT DISTINCT iif(a.type = 'array', a.value ->> 0, a.value)
             FROM state s CROSS JOIN events e ON e.seq = s.seq CROSS JOIN json_each(e.pdu, '$.auth_events') a
             WHERE s.kind || char(31) || s.state_key NOT IN (SELECT value FROM json_each(?))",
            &[serde_json::to_string(&except).map_err(damaged)?.into()],
        )?;
        rows.iter().filter_map(|row| row.text(0)).map(|id| OwnedEventId::try_from(id).map_err(damaged)).collect()
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

/// References as they stand in an event, whichever form its room version gives them.
fn read_references(text: &str) -> Result<Vec<OwnedEventId>, SqlError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Reference {
        Id(OwnedEventId),
        Pair(OwnedEventId, serde::de::IgnoredAny),
    }
    let references: Vec<Reference> = serde_json::from_str(text).map_err(damaged)?;
    let ids = references.into_iter().map(|reference| match reference {
        Reference::Id(event_id) | Reference::Pair(event_id, _) => event_id,
    });
    Ok(ids.collect())
}
