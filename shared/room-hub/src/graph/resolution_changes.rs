//! Changes of the current state by resolution: where the present moved otherwise than by the newest event taking its
//! place.
//!
//! Each tells what a place had before and has after, of memberships and the history visibility also the values, since
//! the events may be gone when somebody asks who could see what. They are kept as far back as the current-state log can
//! be rolled back; the storage worker has them all.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedUserId};
use tern_model::{Pdu, RoomSeq, StoredEvent};
use tern_ports::{Row, Sql, SqlError, wire::storage::ResolutionChange};
use tern_room::{Key, StateDelta};

use crate::{
    reads::visibility_fact::fact_of,
    timeline::store::{Store, damaged},
};
use tern_object_kit::schema::Step;

pub(crate) const COLUMNS: Step = &[
    // Position of the event `after`, and the membership or visibility before and after.
    "ALTER TABLE turns ADD COLUMN after_seq INTEGER",
    "ALTER TABLE turns ADD COLUMN was TEXT",
    "ALTER TABLE turns ADD COLUMN becomes TEXT",
    // Where the event became state, unless that is its own position.
    "ALTER TABLE state ADD COLUMN since INTEGER",
];

/// One place that moved.
pub(crate) struct Move {
    pub(crate) seq: RoomSeq,
    pub(crate) kind: String,
    pub(crate) state_key: String,
    pub(crate) after: Option<OwnedEventId>,
}

/// Changes of the current state by resolution.
#[derive(Default)]
pub(crate) struct ResolutionChanges {
    /// Members whose member event became another, or none, and where last.
    pub(crate) members: BTreeMap<OwnedUserId, RoomSeq>,
    /// Places that got another event, or none, oldest first.
    pub(crate) moves: Vec<Move>,
    /// Positions of state events that did not become current.
    pub(crate) lost: BTreeSet<RoomSeq>,
}

impl ResolutionChanges {
    /// There are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.lost.is_empty()
    }

    /// The events, those that did not become current as if they set no state.
    pub(crate) fn effective(&self, mut events: Vec<StoredEvent>) -> Vec<StoredEvent> {
        for event in events.iter_mut().filter(|event| self.lost.contains(&event.seq)) {
            event.state_key = None;
        }
        events
    }
}

/// Where a membership or visibility changed by resolution, and its values before and after.
pub(crate) struct FactChange(pub(crate) RoomSeq, pub(crate) Option<String>, pub(crate) Option<String>);

/// What a place has: an event and its position.
pub(crate) type Held<'a> = Option<(RoomSeq, &'a Pdu)>;

impl<S: Sql> Store<'_, S> {
    /// Notes that the current-state log moved from `before` to `after` at a position.
    pub(crate) fn put_resolution(
        self,
        seq: RoomSeq,
        (kind, state_key): (&str, &str),
        before: Held<'_>,
        after: Held<'_>,
    ) -> Result<(), SqlError> {
        let id = |held: Held<'_>| held.map(|(_, pdu)| pdu.id().to_string());
        let fact = |held: Held<'_>| held.and_then(|(_, pdu)| fact_of(kind, pdu));
        let params = [
            seq.0.into(),
            kind.into(),
            state_key.into(),
            id(before).into(),
            id(after).into(),
            after.map(|(seq, _)| seq.0).into(),
            fact(before).into(),
            fact(after).into(),
        ];
        self.0.query(
            "INSERT INTO turns (seq, kind, state_key, before, after, after_seq, was, becomes)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &params,
        )?;
        Ok(())
    }

    /// How a membership or visibility changed by resolution above `after`: the position, and the values before and
    /// after.
    pub(crate) fn facts_resolved(
        self,
        after: RoomSeq,
        (kind, state_key): (&str, &str),
    ) -> Result<Vec<FactChange>, SqlError> {
        let rows = self.0.query(
            "SELECT seq, was, becomes FROM turns
             WHERE seq > ? AND kind = +? AND state_key = +? AND before IS NOT after",
            &[after.0.into(), kind.into(), state_key.into()],
        )?;
        Ok(rows.iter().filter_map(|row| Some(FactChange(RoomSeq(row.int(0)?), row.string(1), row.string(2)))).collect())
    }

    /// Places that changed by resolution above `after`, each once.
    pub(crate) fn places_resolved(self, after: RoomSeq) -> Result<Vec<(String, String)>, SqlError> {
        let rows = self.0.query(
            "SELECT DISTINCT kind, state_key FROM turns WHERE seq > ? AND before IS NOT after",
            &[after.0.into()],
        )?;
        Ok(rows.iter().filter_map(|row| Some((row.string(0)?, row.string(1)?))).collect())
    }

    /// The last resolution change of a place in `(after, until]`: its position, and the event that the place got.
    pub(crate) fn last_resolution(
        self,
        (after, until): (RoomSeq, RoomSeq),
        (kind, state_key): (&str, &str),
    ) -> Result<Option<(RoomSeq, Option<OwnedEventId>)>, SqlError> {
        let rows = self.0.query(
            "SELECT seq, after FROM turns WHERE seq > ? AND seq <= ? AND kind = +? AND state_key = +?
             AND before IS NOT after ORDER BY seq DESC LIMIT 1",
            &[after.0.into(), until.0.into(), kind.into(), state_key.into()],
        )?;
        rows.first().map(|row| Ok((RoomSeq(row.int(0).unwrap_or_default()), event_id(row, 1)?))).transpose()
    }

    /// What changed by resolution with the event at a position, for the storage worker.
    pub(crate) fn resolutions_at(self, seq: RoomSeq) -> Result<Vec<ResolutionChange>, SqlError> {
        let rows = self.0.query(
            "SELECT kind, state_key, after_seq FROM turns WHERE seq = ? AND before IS NOT after",
            &[seq.0.into()],
        )?;
        let change = |row: &Row| {
            Some(ResolutionChange { kind: row.string(0)?, state_key: row.string(1)?, event: row.int(2).map(RoomSeq) })
        };
        Ok(rows.iter().filter_map(change).collect())
    }

    /// What changed by resolution above `after`.
    pub(crate) fn resolutions_after(self, after: RoomSeq) -> Result<ResolutionChanges, SqlError> {
        let rows = self.0.query(
            "SELECT t.seq, t.kind, t.state_key, t.before IS NOT t.after, t.after, e.seq FROM turns t
             LEFT JOIN events e ON e.seq = t.seq AND e.kind = t.kind AND e.state_key = t.state_key
             WHERE t.seq > ? ORDER BY t.seq",
            &[after.0.into()],
        )?;
        let mut resolutions = ResolutionChanges::default();
        for row in &rows {
            let seq = RoomSeq(row.int(0).unwrap_or_default());
            let (kind, state_key) = (row.string(1).unwrap_or_default(), row.string(2).unwrap_or_default());
            resolutions.lost.extend(row.int(5).map(RoomSeq));
            if row.flag(3) {
                if kind == "m.room.member" {
                    resolutions.members.extend(OwnedUserId::try_from(state_key.as_str()).ok().map(|id| (id, seq)));
                }
                resolutions.moves.push(Move { seq, kind, state_key, after: event_id(row, 4)? });
            }
        }
        Ok(resolutions)
    }

    /// How the current-state log at `seq` differs from the present; nothing when too much was trimmed to say.
    pub(crate) fn state_delta_at(self, seq: RoomSeq) -> Result<Option<StateDelta>, SqlError> {
        if seq < self.known_from()? {
            return Ok(None);
        }
        // Of several changes of a place, what was before the oldest of them holds: SQLite takes the other columns from the
        // row that has the least `seq`.
        let rows = self.0.query(
            "WITH moves (seq, kind, state_key, before) AS (
                 SELECT seq, kind, state_key, unsigned ->> '$.replaces_state' FROM events
                 WHERE seq > ? AND state_key IS NOT NULL
                 UNION ALL SELECT seq, kind, state_key, replaced FROM past WHERE seq > ?
             ), steps (seq, kind, state_key, before) AS (
                 SELECT m.seq, m.kind, m.state_key, m.before FROM moves m WHERE NOT EXISTS
                     (SELECT 1 FROM turns t WHERE t.seq = m.seq AND t.kind = m.kind AND t.state_key = m.state_key)
                 UNION ALL SELECT seq, kind, state_key, before FROM turns WHERE seq > ?
             ), back (seq, kind, state_key, before) AS (
                 SELECT min(seq), kind, state_key, before FROM steps GROUP BY kind, state_key
             ) SELECT b.kind, b.state_key, b.before FROM back b
               LEFT JOIN state s ON s.kind = b.kind AND s.state_key = b.state_key
               LEFT JOIN events e ON e.seq = s.seq WHERE e.event_id IS NOT b.before",
            &[seq.0.into(), seq.0.into(), seq.0.into()],
        )?;
        let change = |row: &Row| {
            Ok(((row.text(0).unwrap_or_default().into(), row.string(1).unwrap_or_default()), event_id(row, 2)?))
        };
        rows.iter().map(change).collect::<Result<_, SqlError>>().map(Some)
    }

    /// The ids of the current events of these types and state keys, where there are some.
    pub(crate) fn current_ids(self, keys: &[&Key]) -> Result<Vec<(Key, OwnedEventId)>, SqlError> {
        let wanted: Vec<_> = keys.iter().map(|(kind, key)| (kind.to_string(), key)).collect();
        let rows = self.0.query(
            "SELECT s.kind, s.state_key, e.event_id FROM json_each(?) j
             CROSS JOIN state s ON s.kind = j.value ->> 0 AND s.state_key = j.value ->> 1 JOIN events e ON e.seq = s.seq",
            &[serde_json::to_string(&wanted).map_err(damaged)?.into()],
        )?;
        let current = |row: &Row| {
            let key = (row.text(0).unwrap_or_default().into(), row.string(1).unwrap_or_default());
            event_id(row, 2).map(|event_id| event_id.map(|event_id| (key, event_id))).transpose()
        };
        rows.iter().filter_map(current).collect()
    }

    /// The id of the current event of a type and state key.
    pub(crate) fn current_id(self, (kind, state_key): &Key) -> Result<Option<OwnedEventId>, SqlError> {
        let rows = self.0.query(
            "SELECT e.event_id FROM state s JOIN events e ON e.seq = s.seq WHERE s.kind = +? AND s.state_key = +?",
            &[kind.to_string().into(), state_key.as_str().into()],
        )?;
        rows.first().and_then(|row| row.text(0)).map(OwnedEventId::try_from).transpose().map_err(damaged)
    }
}

fn event_id(row: &Row, index: usize) -> Result<Option<OwnedEventId>, SqlError> {
    row.text(index).map(OwnedEventId::try_from).transpose().map_err(damaged)
}
