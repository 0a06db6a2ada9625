//! The rows of a fork: states beside the present.
//!
//! The *current-state log* is how the present went from position to position. The state after most events is the
//! current-state log's at their position, and nothing is kept for them: it is the present, rolled back over the state
//! events since. Only an event whose state is another one (it came from a fork, or was never part of the timeline) has
//! a row in `forks`, which leads to a state told by its difference from the current-state log at some position, or from
//! another such state.

use std::collections::BTreeMap;

use ruma::OwnedEventId;
use serde::{Deserialize, Serialize};
use tern_model::RoomSeq;
use tern_ports::{Sql, SqlError};
use tern_room::{Key, StateDelta};

use crate::timeline::store::{Store, damaged};
use tern_object_kit::schema::Step;

/// A state that differs from another fork's is told from that one at most this many times in a row; then from the
/// current-state log.
const CHAINED: u64 = 16;

/// Changes in one row. Each takes up to 3.4 kB of JSON, three ids with every character escaped, and a row two megabytes.
const CHANGES_IN_ROW: usize = 400;

/// In the place of an event: the state that the room had when forward extremities were given up.
pub(crate) const FORMER: &str = "";

pub(crate) const TABLES: Step = &[
    // Known events that are not part of the timeline, with their verdict: `rejected`, `soft_failed`, or `cited` for those
    // that are known only because others cite them. `since` is the newest position when they came.
    "CREATE TABLE aside (
        event_id TEXT PRIMARY KEY, verdict TEXT NOT NULL, reason TEXT, since INTEGER NOT NULL, pdu TEXT NOT NULL
    ) STRICT",
    // Events after which the state is not the current-state log's at their position.
    "CREATE TABLE forks (
        event_id TEXT PRIMARY KEY, state INTEGER NOT NULL, since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // `changes` is JSON, `[type, state key, event id or null]`, on top of the state `parent` or of the current-state log at `base`.
    "CREATE TABLE fork_states (
        id INTEGER PRIMARY KEY, parent INTEGER, chained INTEGER NOT NULL, base INTEGER NOT NULL, changes TEXT NOT NULL
    ) STRICT",
    // Where the current-state log moved otherwise than by the event at `seq` taking its place. For a state event that
    // did not become current, `before` and `after` are the same.
    "CREATE TABLE turns (
        seq INTEGER NOT NULL, kind TEXT NOT NULL, state_key TEXT NOT NULL, before TEXT, after TEXT,
        PRIMARY KEY (seq, kind, state_key)
    ) STRICT, WITHOUT ROWID",
    // What remains of superseded state events when they are trimmed: what they replaced, and their auth events.
    "CREATE TABLE past (
        event_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, kind TEXT NOT NULL, state_key TEXT NOT NULL, replaced TEXT,
        auth TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
    // Above this position `past` has everything that was trimmed.
    "ALTER TABLE head ADD COLUMN known_from INTEGER NOT NULL DEFAULT 0",
    "UPDATE head SET known_from = tail",
];

/// One change as it is written.
#[derive(Serialize, Deserialize)]
struct Change(String, String, Option<OwnedEventId>);

impl<S: Sql> Store<'_, S> {
    /// The number of the state after an event, if it is not the current-state log's.
    pub(crate) fn state_group(self, event_id: &str) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query("SELECT state FROM forks WHERE event_id = ?", &[event_id.into()])?;
        Ok(rows.first().and_then(|row| row.int(0)))
    }

    /// Notes that the state after an event is the state `number`.
    pub(crate) fn put_state_group(self, event_id: &str, number: u64, since: RoomSeq) -> Result<(), SqlError> {
        let params = [event_id.into(), number.into(), since.0.into()];
        self.0.query("INSERT OR REPLACE INTO forks VALUES (?, ?, ?)", &params)?;
        Ok(())
    }

    /// A state's changes, and where on the current-state log they apply.
    pub(crate) fn state_group_delta(self, number: u64) -> Result<(RoomSeq, StateDelta), SqlError> {
        let rows = self.0.query(
            "WITH RECURSIVE line (parent, chained, base, changes) AS (
                 SELECT parent, chained, base, changes FROM fork_states WHERE id = ?
                 UNION ALL
                 SELECT f.parent, f.chained, f.base, f.changes FROM line l CROSS JOIN fork_states f ON f.id = l.parent
             ) SELECT base, changes FROM line ORDER BY chained",
            &[number.into()],
        )?;
        let mut changes = StateDelta::new();
        for row in &rows {
            changes.extend(read_changes(row.text(1).unwrap_or_default())?);
        }
        let base = rows.first().and_then(|row| row.int(0));
        Ok((RoomSeq(base.ok_or_else(|| damaged("a fork's state is gone"))?), changes))
    }

    /// Keeps a state: `changes` on the current-state log at `base`.
    pub(crate) fn add_state_group(self, base: RoomSeq, changes: &StateDelta) -> Result<u64, SqlError> {
        self.insert_state_group(None, 0, base, changes)
    }

    /// The number of the state that differs from the state `number` in one place, or in none.
    pub(crate) fn state_group_on(
        self,
        number: u64,
        change: Option<(Key, Option<OwnedEventId>)>,
    ) -> Result<u64, SqlError> {
        let Some(change) = change else { return Ok(number) };
        let rows = self.0.query("SELECT chained, base FROM fork_states WHERE id = ?", &[number.into()])?;
        match rows.first().and_then(|row| Some((row.int(0)?, row.int(1)?))) {
            Some((chained, base)) if chained + 1 < CHAINED => {
                self.insert_state_group(Some(number), chained + 1, RoomSeq(base), &StateDelta::from([change]))
            }
            _ => {
                let (base, mut changes) = self.state_group_delta(number)?;
                changes.extend([change]);
                self.add_state_group(base, &changes)
            }
        }
    }

    /// Forgets the state after an event.
    pub(crate) fn drop_state_group(self, event_id: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM forks WHERE event_id = ?", &[event_id.into()])?;
        Ok(())
    }

    /// Writes a state, in as many rows as it takes, each on top of the one before; the number of the last.
    fn insert_state_group(
        self,
        parent: Option<u64>,
        chained: u64,
        base: RoomSeq,
        changes: &StateDelta,
    ) -> Result<u64, SqlError> {
        let changes: Vec<_> = changes.iter().collect();
        let (first, others) = changes.split_at(changes.len().min(CHANGES_IN_ROW));
        let mut number = self.insert_changes(parent, chained, base, first)?;
        for chunk in others.chunks(CHANGES_IN_ROW) {
            number = self.insert_changes(Some(number), chained, base, chunk)?;
        }
        Ok(number)
    }

    fn insert_changes(
        self,
        parent: Option<u64>,
        chained: u64,
        base: RoomSeq,
        changes: &[(&Key, &Option<OwnedEventId>)],
    ) -> Result<u64, SqlError> {
        let params = [parent.into(), chained.into(), base.0.into(), write_changes(changes)?.into()];
        let rows = self.0.query(
            "INSERT INTO fork_states (parent, chained, base, changes) VALUES (?, ?, ?, ?) RETURNING id",
            &params,
        )?;
        rows.first().and_then(|row| row.int(0)).ok_or_else(|| damaged("a state got no number"))
    }

    /// Tells states by the current-state log as it is at `newest` that are told by the current-state log below `until`,
    /// which is to be forgotten. Side events are forgotten with it: they are checked again if somebody refers to them.
    pub(crate) fn rebase_state_groups(self, until: RoomSeq, newest: RoomSeq) -> Result<(), SqlError> {
        self.forget_side_events_on(until)?;
        let rows = self.0.query(
            "SELECT f.event_id, f.state, f.since FROM forks f JOIN fork_states s ON s.id = f.state WHERE s.base < +?",
            &[until.0.into()],
        )?;
        let mut anew: BTreeMap<u64, u64> = BTreeMap::new();
        for row in &rows {
            let (Some(event_id), Some(number), Some(since)) = (row.text(0), row.int(1), row.int(2)) else { continue };
            let told = match anew.get(&number) {
                Some(told) => Some(*told),
                None => self.rebased(number, newest)?,
            };
            if let Some(told) = told {
                anew.insert(number, told);
                self.put_state_group(event_id, told, RoomSeq(since))?;
            }
        }
        Ok(())
    }

    /// The number of the same state, told from the current-state log at `newest`.
    fn rebased(self, number: u64, newest: RoomSeq) -> Result<Option<u64>, SqlError> {
        let (base, changes) = self.state_group_delta(number)?;
        let Some(mut state) = self.state_delta_at(base)? else { return Ok(None) };
        state.extend(changes);
        self.add_state_group(newest, &state).map(Some)
    }

    fn forget_side_events_on(self, until: RoomSeq) -> Result<(), SqlError> {
        let gone = self.0.query(
            "DELETE FROM aside WHERE verdict <> 'cited' AND event_id IN
                 (SELECT f.event_id FROM forks f JOIN fork_states s ON s.id = f.state WHERE s.base < +?)
             RETURNING event_id",
            &[until.0.into()],
        )?;
        for row in &gone {
            self.drop_state_group(row.text(0).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Forgets states that nobody builds on any more: of events that came before `until`, extremities and known side events
    /// excepted.
    pub(crate) fn compact_state_groups(self, until: RoomSeq, extremities: &[OwnedEventId]) -> Result<(), SqlError> {
        let extremities = serde_json::to_string(extremities).map_err(damaged)?;
        self.0.query(
            "DELETE FROM forks WHERE since <= ? AND event_id <> ? AND event_id NOT IN (SELECT value FROM json_each(?))
                 AND NOT EXISTS (SELECT 1 FROM aside a WHERE a.event_id = forks.event_id)",
            &[until.0.into(), FORMER.into(), extremities.into()],
        )?;
        self.sweep_state_groups()
    }

    /// Deletes the states that no event refers to.
    pub(crate) fn sweep_state_groups(self) -> Result<(), SqlError> {
        self.0.query(
            "WITH RECURSIVE used (id) AS (
                 SELECT state FROM forks
                 UNION SELECT f.parent FROM used u CROSS JOIN fork_states f ON f.id = u.id WHERE f.parent IS NOT NULL
             ) DELETE FROM fork_states WHERE id NOT IN (SELECT id FROM used)",
            &[],
        )?;
        Ok(())
    }
}

fn read_changes(text: &str) -> Result<impl Iterator<Item = (Key, Option<OwnedEventId>)> + use<>, SqlError> {
    let changes: Vec<Change> = serde_json::from_str(text).map_err(damaged)?;
    Ok(changes.into_iter().map(|Change(kind, key, event_id)| ((kind.into(), key), event_id)))
}

fn write_changes(changes: &[(&Key, &Option<OwnedEventId>)]) -> Result<String, SqlError> {
    let written = |((kind, key), event_id): &(&Key, &Option<OwnedEventId>)| {
        Change(kind.to_string(), key.clone(), (*event_id).clone())
    };
    serde_json::to_string(&changes.iter().map(written).collect::<Vec<_>>()).map_err(damaged)
}
