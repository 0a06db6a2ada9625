//! The rows of a fork: what is known of events beside the timeline, and of states beside the present.
//!
//! The *trunk* is how the present went from position to position. The state after most events is the trunk's at their
//! position, and nothing is kept for them: it is the present, rolled back over the state events since. Only an event whose
//! state is another one (it came from a fork, or was never part of the timeline) has a row in `forks`, which leads to a
//! state told by its difference from the trunk at some position, or from another such state.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{Pdu, RawJson, RoomSeq, StoredEvent};
use tern_ports::{Row, Sql, SqlError};
use tern_room::{Difference, Key};

use super::store::{Store, damaged};
use crate::schema::Step;

/// A state that differs from another fork's is told from that one at most this many times in a row; then from the trunk.
const CHAINED: u64 = 16;

/// Rejected and soft-failed events that are kept; older ones are judged again if somebody refers to them.
const ASIDE_KEPT: u64 = 1_000;

pub(super) const TABLES: Step = &[
    // Known events that are not part of the timeline, with their verdict: `rejected`, `soft_failed`, or `cited` for those
    // that are known only because others cite them. `since` is the newest position when they came.
    "CREATE TABLE aside (
        event_id TEXT PRIMARY KEY, verdict TEXT NOT NULL, reason TEXT, since INTEGER NOT NULL, pdu TEXT NOT NULL
    ) STRICT",
    // Events after which the state is not the trunk's at their position.
    "CREATE TABLE forks (
        event_id TEXT PRIMARY KEY, state INTEGER NOT NULL, since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // `changes` is JSON, `[type, state key, event id or null]`, on top of the state `parent` or of the trunk at `base`.
    "CREATE TABLE fork_states (
        id INTEGER PRIMARY KEY, parent INTEGER, chained INTEGER NOT NULL, base INTEGER NOT NULL, changes TEXT NOT NULL
    ) STRICT",
    // Where the trunk moved otherwise than by the event at `seq` taking its place. For a state event that did not become
    // current, `before` and `after` are the same.
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

/// A known event beside the timeline.
pub(super) struct Aside {
    pub(super) verdict: Standing,
    pub(super) reason: Option<String>,
    pub(super) pdu: Pdu,
}

/// Why an event is not part of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Rejected,
    SoftFailed,
    Cited,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Rejected, Self::SoftFailed, Self::Cited];

    const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::SoftFailed => "soft_failed",
            Self::Cited => "cited",
        }
    }
}

/// Turns of the trunk.
#[derive(Default)]
pub(super) struct Turns {
    /// Members whose membership became another, and where.
    pub(super) members: BTreeMap<OwnedUserId, RoomSeq>,
    /// Positions of state events that did not become current.
    pub(super) lost: BTreeSet<RoomSeq>,
}

impl Turns {
    /// The events, those that did not become current as if they set no state.
    pub(super) fn effective(&self, events: &[StoredEvent]) -> Vec<StoredEvent> {
        let plain = |event: &StoredEvent| {
            let state_key = event.state_key.clone().filter(|_| !self.lost.contains(&event.seq));
            StoredEvent { state_key, ..event.clone() }
        };
        events.iter().map(plain).collect()
    }
}

/// One change as it is written.
#[derive(Serialize, Deserialize)]
struct Change(String, String, Option<OwnedEventId>);

impl<S: Sql> Store<'_, S> {
    /// A known event beside the timeline.
    pub(super) fn aside(self, event_id: &str) -> Result<Option<Aside>, SqlError> {
        let rows =
            self.0.query("SELECT event_id, verdict, reason, pdu FROM aside WHERE event_id = ?", &[event_id.into()])?;
        rows.first().map(aside_of).transpose()
    }

    /// Keeps an event beside the timeline.
    pub(super) fn put_aside(
        self,
        pdu: &Pdu,
        verdict: Standing,
        reason: Option<&str>,
        since: RoomSeq,
    ) -> Result<(), SqlError> {
        let params =
            [pdu.id().as_str().into(), verdict.name().into(), reason.into(), since.0.into(), pdu.raw().text().into()];
        self.0.query(
            "INSERT INTO aside VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET verdict = excluded.verdict,
                 reason = excluded.reason, since = excluded.since",
            &params,
        )?;
        Ok(())
    }

    /// Forgets that an event was known only because it was cited.
    pub(super) fn drop_cited(self, event_id: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM aside WHERE event_id = ? AND verdict = 'cited'", &[event_id.into()])?;
        Ok(())
    }

    /// The number of the state after an event, if it is not the trunk's.
    pub(super) fn fork(self, event_id: &str) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query("SELECT state FROM forks WHERE event_id = ?", &[event_id.into()])?;
        Ok(rows.first().and_then(|row| row.int(0)))
    }

    /// Notes that the state after an event is the state `number`.
    pub(super) fn put_fork(self, event_id: &str, number: u64, since: RoomSeq) -> Result<(), SqlError> {
        let params = [event_id.into(), number.into(), since.0.into()];
        self.0.query("INSERT OR REPLACE INTO forks VALUES (?, ?, ?)", &params)?;
        Ok(())
    }

    /// A state's changes, and where on the trunk they apply.
    pub(super) fn fork_state(self, number: u64) -> Result<(RoomSeq, Difference), SqlError> {
        let rows = self.0.query(
            "WITH RECURSIVE line (parent, chained, base, changes) AS (
                 SELECT parent, chained, base, changes FROM fork_states WHERE id = ?
                 UNION ALL
                 SELECT f.parent, f.chained, f.base, f.changes FROM line l CROSS JOIN fork_states f ON f.id = l.parent
             ) SELECT base, changes FROM line ORDER BY chained",
            &[number.into()],
        )?;
        let mut changes = Difference::new();
        for row in &rows {
            changes.extend(read_changes(row.text(1).unwrap_or_default())?);
        }
        let base = rows.first().and_then(|row| row.int(0));
        Ok((RoomSeq(base.ok_or_else(|| damaged("a fork's state is gone"))?), changes))
    }

    /// Keeps a state: `changes` on the trunk at `base`.
    pub(super) fn add_fork_state(self, base: RoomSeq, changes: &Difference) -> Result<u64, SqlError> {
        self.insert_fork_state(None, 0, base, changes)
    }

    /// Keeps a state that differs from the state `parent` in one place; nothing when it is to be told from the trunk.
    pub(super) fn chain_fork_state(
        self,
        parent: u64,
        key: &Key,
        event_id: &ruma::EventId,
    ) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query("SELECT chained, base FROM fork_states WHERE id = ?", &[parent.into()])?;
        let found = rows.first().and_then(|row| Some((row.int(0)?, row.int(1)?)));
        let Some((chained, base)) = found.filter(|(chained, _)| chained + 1 < CHAINED) else { return Ok(None) };
        let change = Difference::from([(key.clone(), Some(event_id.to_owned()))]);
        self.insert_fork_state(Some(parent), chained + 1, RoomSeq(base), &change).map(Some)
    }

    fn insert_fork_state(
        self,
        parent: Option<u64>,
        chained: u64,
        base: RoomSeq,
        changes: &Difference,
    ) -> Result<u64, SqlError> {
        let params = [parent.into(), chained.into(), base.0.into(), write_changes(changes)?.into()];
        let rows = self.0.query(
            "INSERT INTO fork_states (parent, chained, base, changes) VALUES (?, ?, ?, ?) RETURNING id",
            &params,
        )?;
        rows.first().and_then(|row| row.int(0)).ok_or_else(|| damaged("a state got no number"))
    }

    /// Notes that the trunk moved from `before` to `after` at a position.
    pub(super) fn put_turn(
        self,
        seq: RoomSeq,
        (kind, state_key): (&str, &str),
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<(), SqlError> {
        let params = [seq.0.into(), kind.into(), state_key.into(), before.into(), after.into()];
        self.0.query("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", &params)?;
        Ok(())
    }

    /// Where the trunk moved to another event of a type and state key, or to none, oldest first.
    pub(super) fn turns_of(self, kind: &str, state_key: &str) -> Result<Vec<(RoomSeq, Option<String>)>, SqlError> {
        let rows = self.0.query(
            "SELECT seq, after FROM turns WHERE kind = ? AND state_key = ? AND before IS NOT after ORDER BY seq",
            &[kind.into(), state_key.into()],
        )?;
        Ok(rows.iter().filter_map(|row| Some((RoomSeq(row.int(0)?), row.string(1)))).collect())
    }

    /// Members whose memberships the trunk turned after `after`, with the positions; and the positions above it whose
    /// state events did not become current.
    pub(super) fn turns_after(self, after: RoomSeq) -> Result<Turns, SqlError> {
        let rows = self.0.query(
            "SELECT t.seq, t.kind, t.state_key, t.before IS NOT t.after, e.seq FROM turns t
             LEFT JOIN events e ON e.seq = t.seq AND e.kind = t.kind AND e.state_key = t.state_key
             WHERE t.seq > ?",
            &[after.0.into()],
        )?;
        let mut turns = Turns::default();
        for row in &rows {
            let seq = RoomSeq(row.int(0).unwrap_or_default());
            if row.text(1) == Some("m.room.member") && row.flag(3) {
                turns.members.extend(row.text(2).and_then(|id| OwnedUserId::try_from(id).ok()).map(|id| (id, seq)));
            }
            turns.lost.extend(row.int(4).map(RoomSeq));
        }
        Ok(turns)
    }

    /// How the trunk at `seq` differs from the present; nothing when too much was trimmed to say.
    pub(super) fn trunk(self, seq: RoomSeq) -> Result<Option<Difference>, SqlError> {
        let from = self.0.query("SELECT known_from FROM head", &[])?;
        if from.first().and_then(|row| row.int(0)).is_none_or(|from| seq.0 < from) {
            return Ok(None);
        }
        // Newest first: of several changes of a place, what was before the oldest of them holds.
        let rows = self.0.query(
            "WITH moves (seq, kind, state_key, before) AS (
                 SELECT seq, kind, state_key, unsigned ->> '$.replaces_state' FROM events
                 WHERE seq > ? AND state_key IS NOT NULL
                 UNION ALL SELECT seq, kind, state_key, replaced FROM past WHERE seq > ?
             )
             SELECT m.seq AS seq, m.kind, m.state_key, m.before FROM moves m WHERE NOT EXISTS
                 (SELECT 1 FROM turns t WHERE t.seq = m.seq AND t.kind = m.kind AND t.state_key = m.state_key)
             UNION ALL SELECT seq, kind, state_key, before FROM turns WHERE seq > ?
             ORDER BY 1 DESC",
            &[seq.0.into(), seq.0.into(), seq.0.into()],
        )?;
        let mut back = Difference::new();
        for row in &rows {
            let before = row.text(3).map(OwnedEventId::try_from).transpose().map_err(damaged)?;
            back.insert((row.text(1).unwrap_or_default().into(), row.string(2).unwrap_or_default()), before);
        }
        let mut differs = Difference::new();
        for (key, before) in back {
            if self.current_id(&key)? != before {
                differs.insert(key, before);
            }
        }
        Ok(Some(differs))
    }

    /// The id of the current event of a type and state key.
    pub(super) fn current_id(self, (kind, state_key): &Key) -> Result<Option<OwnedEventId>, SqlError> {
        let rows = self.0.query(
            "SELECT e.event_id FROM state s JOIN events e ON e.seq = s.seq WHERE s.kind = ? AND s.state_key = ?",
            &[kind.to_string().into(), state_key.as_str().into()],
        )?;
        rows.first().and_then(|row| row.text(0)).map(OwnedEventId::try_from).transpose().map_err(damaged)
    }

    /// The auth events of a known event.
    pub(super) fn auth_of(self, event_id: &str) -> Result<Option<Vec<OwnedEventId>>, SqlError> {
        let rows = self.0.query(
            "SELECT pdu -> '$.auth_events' FROM events WHERE event_id = ?
             UNION ALL SELECT auth FROM past WHERE event_id = ?
             UNION ALL SELECT pdu -> '$.auth_events' FROM aside WHERE event_id = ? LIMIT 1",
            &[event_id.into(), event_id.into(), event_id.into()],
        )?;
        rows.first().map(|row| read_references(row.text(0).unwrap_or("[]"))).transpose()
    }

    /// The auth events, each once, of all events of the current state but those under `except`.
    pub(super) fn cited_elsewhere(self, except: &BTreeSet<&Key>) -> Result<BTreeSet<OwnedEventId>, SqlError> {
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
    pub(super) fn keep_past(self, after: RoomSeq, until: RoomSeq) -> Result<(), SqlError> {
        self.0.query(
            "INSERT OR IGNORE INTO past (event_id, seq, kind, state_key, replaced, auth)
             SELECT event_id, seq, kind, state_key, unsigned ->> '$.replaces_state', pdu -> '$.auth_events' FROM events
             WHERE seq > ? AND seq <= ? AND state_key IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM state s WHERE s.kind = events.kind AND s.state_key = events.state_key AND s.seq = events.seq)",
            &[after.0.into(), until.0.into()],
        )?;
        Ok(())
    }

    /// Forgets states that nobody builds on any more: of events that came before `until`, extremities excepted, and of
    /// what was put aside all but the newest.
    pub(super) fn compact_forks(self, until: RoomSeq, extremities: &[OwnedEventId]) -> Result<(), SqlError> {
        let extremities = serde_json::to_string(extremities).map_err(damaged)?;
        self.0.query(
            "DELETE FROM aside WHERE verdict <> 'cited' AND since <= ? AND rowid <=
                 (SELECT max(rowid) FROM aside) - ?",
            &[until.0.into(), ASIDE_KEPT.into()],
        )?;
        self.0.query(
            "DELETE FROM forks WHERE since <= ? AND event_id NOT IN (SELECT value FROM json_each(?))",
            &[until.0.into(), extremities.into()],
        )?;
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

fn aside_of(row: &Row) -> Result<Aside, SqlError> {
    let name = row.text(1).unwrap_or_default();
    let verdict = Standing::ALL.into_iter().find(|standing| standing.name() == name);
    let verdict = verdict.ok_or_else(|| damaged("an unknown verdict"))?;
    let event_id = OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
    let raw = RawJson::parse(row.string(3).unwrap_or_default()).map_err(damaged)?;
    let pdu = Pdu::parse(event_id, raw).map_err(damaged)?;
    let pdu = if verdict == Standing::Rejected { pdu.into_rejected() } else { pdu };
    Ok(Aside { verdict, reason: row.string(2), pdu })
}

fn read_changes(text: &str) -> Result<impl Iterator<Item = (Key, Option<OwnedEventId>)> + use<>, SqlError> {
    let changes: Vec<Change> = serde_json::from_str(text).map_err(damaged)?;
    Ok(changes.into_iter().map(|Change(kind, key, event_id)| ((kind.into(), key), event_id)))
}

fn write_changes(changes: &Difference) -> Result<String, SqlError> {
    let changes = changes.iter().map(|((kind, key), event_id)| Change(kind.to_string(), key.clone(), event_id.clone()));
    serde_json::to_string(&changes.collect::<Vec<_>>()).map_err(damaged)
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
