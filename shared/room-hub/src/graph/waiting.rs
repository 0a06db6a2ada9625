//! Events that stand on what is not known here: kept until that comes, so that whoever sent them may forget them.
//!
//! What is too much goes, the oldest first: those that stay refer to what went, so it is found through them.

use std::{collections::BTreeMap, rc::Rc};

use ruma::{OwnedEventId, ServerName};
use tern_model::{MatrixError, Millis, Pdu};
use tern_object_kit::schema::Step;
use tern_ports::{ObjectHost, Sql, SqlError, wire::receive::PduResult};
use tern_room::order::topological;

use crate::{
    RoomActor,
    graph::{batch::Batch, read_events::pdu_of},
    timeline::store::{Store, damaged},
};

/// Events that wait, and bytes of them: of one server that is in the room, of one that is not as far as is known here, and
/// in all.
const MOST_OF_ORIGIN: (u64, u64) = (200, 2 * 1024 * 1024);
const MOST_OF_STRANGER: (u64, u64) = (20, 256 * 1024);
const MOST: (u64, u64) = (500, 4 * 1024 * 1024);

/// Longest that an event waits, in milliseconds: a week.
const LONGEST_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Events that are tried again at once, and how often in one request.
const AT_ONCE: u64 = 50;
const ROUNDS: usize = 12;

/// Pauses between attempts that led nowhere.
const PAUSE_MS: u64 = 10_000;
const LONGEST_PAUSE_MS: u64 = 6 * 3_600_000;

/// `missing` names what an event waits for; an event without any waits for another time.
pub(crate) const TABLE: Step = &["CREATE TABLE waiting (
        place INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL UNIQUE,
        origin TEXT NOT NULL,
        missing TEXT NOT NULL,
        since INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        retry_at INTEGER NOT NULL DEFAULT 0,
        pdu TEXT NOT NULL
    ) STRICT"];

impl<H: ObjectHost> RoomActor<H> {
    /// Keeps those of the events that came to no result, durably; then tries those again that may come to one now.
    pub(crate) async fn keep_unfinished(
        self: &Rc<Self>,
        origin: &ServerName,
        events: &[Pdu],
        results: &BTreeMap<OwnedEventId, PduResult>,
    ) -> Result<(), MatrixError> {
        let open = |pdu: &&Pdu| results.get(pdu.id()).is_none_or(|result| wants(result).is_some());
        let open: Vec<&Pdu> = events.iter().filter(open).collect();
        if !open.is_empty() {
            let now = self.host.now();
            self.host.sql().transaction(|| {
                self.store().drop_waiting(now)?;
                for pdu in &open {
                    let missing = results.get(pdu.id()).and_then(wants).unwrap_or_default();
                    self.store().keep_waiting(origin.as_str(), pdu, missing, now)?;
                }
                let is_here = self.store().has_joined(origin.as_str())?;
                self.store().cap_waiting(origin.as_str(), if is_here { MOST_OF_ORIGIN } else { MOST_OF_STRANGER })
            })?;
            self.waits.set(Some(true));
            self.expect_gap().await;
            self.host.synced().await;
        }
        // What only waits itself brings nobody further.
        if open.len() < events.len() { self.retry_waiting().await } else { Ok(()) }
    }

    /// Tries events again that wait for nothing that is still unknown.
    pub(crate) async fn retry_waiting(self: &Rc<Self>) -> Result<(), MatrixError> {
        for _ in 0..ROUNDS {
            if !self.has_waiting()? {
                break;
            }
            let ready = topological(self.store().ready(self.host.now())?);
            if ready.is_empty() {
                break;
            }
            let batch = Rc::new(Batch::of(ready.clone(), Vec::new()));
            self.take_batch(&batch).await?;
            let (results, now) = (batch.results.take(), self.host.now());
            self.host.sql().transaction(|| {
                ready.iter().try_for_each(|pdu| self.store().settle_waiting(pdu, results.get(pdu.id()), now))
            })?;
            self.waits.set(None);
        }
        Ok(())
    }

    /// Some event waits. Asked of the table once, so that a room in which none does pays nothing for it.
    pub(crate) fn has_waiting(&self) -> Result<bool, SqlError> {
        if let Some(known) = self.waits.get() {
            return Ok(known);
        }
        let waits = !self.host.sql().query("SELECT 1 FROM waiting LIMIT 1", &[])?.is_empty();
        self.waits.set(Some(waits));
        Ok(waits)
    }
}

/// What an event waits for that came to no result; nothing for one that came to one.
fn wants(result: &PduResult) -> Option<&[OwnedEventId]> {
    match result {
        PduResult::Missing(missing) => Some(missing),
        PduResult::Deferred(_) => Some(&[]),
        _ => None,
    }
}

impl<S: Sql> Store<'_, S> {
    fn keep_waiting(self, origin: &str, pdu: &Pdu, missing: &[OwnedEventId], now: Millis) -> Result<(), SqlError> {
        let missing = serde_json::to_string(missing).map_err(damaged)?;
        self.0.query(
            "INSERT INTO waiting (event_id, origin, missing, since, pdu) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (event_id) DO UPDATE SET missing = excluded.missing",
            &[pdu.id().as_str().into(), origin.into(), missing.into(), now.0.into(), pdu.raw().text().into()],
        )?;
        Ok(())
    }

    /// Forgets those that have waited too long.
    pub(crate) fn drop_waiting(self, now: Millis) -> Result<(), SqlError> {
        self.0.query("DELETE FROM waiting WHERE since < ?", &[now.0.saturating_sub(LONGEST_MS).into()])?;
        Ok(())
    }

    /// Forgets all.
    pub(crate) fn drop_all_waiting(self) -> Result<(), SqlError> {
        self.0.query("DELETE FROM waiting", &[])?;
        Ok(())
    }

    /// Forgets the oldest that are too many.
    fn cap_waiting(self, origin: &str, (number, bytes): (u64, u64)) -> Result<(), SqlError> {
        let capped = |of: &str| {
            format!(
                "DELETE FROM waiting WHERE place IN
                     (SELECT place FROM (
                         SELECT place, row_number() OVER newest AS number,
                             sum(length(CAST(pdu AS BLOB))) OVER newest AS bytes
                         FROM waiting {of} WINDOW newest AS (ORDER BY place DESC)
                     ) WHERE number > +? OR bytes > +?)"
            )
        };
        self.0.query(&capped("WHERE origin = +?"), &[origin.into(), number.into(), bytes.into()])?;
        self.0.query(&capped(""), &[MOST.0.into(), MOST.1.into()])?;
        Ok(())
    }

    /// Events whose time has come and for which all is known that they are known to wait for, then those that wait for these.
    fn ready(self, now: Millis) -> Result<Vec<Pdu>, SqlError> {
        let rows = self.0.query(
            "WITH RECURSIVE next (event_id) AS (
                 SELECT w.event_id FROM waiting w WHERE w.retry_at <= +? AND NOT EXISTS
                     (SELECT 1 FROM json_each(w.missing) j
                      WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = j.value)
                        AND NOT EXISTS (SELECT 1 FROM aside a WHERE a.event_id = j.value)
                        AND NOT EXISTS (SELECT 1 FROM forks f WHERE f.event_id = j.value))
                 UNION SELECT w.event_id FROM next n CROSS JOIN waiting w
                     WHERE EXISTS (SELECT 1 FROM json_each(w.missing) j WHERE j.value = n.event_id)
                 LIMIT +?
             ) SELECT w.event_id, w.pdu FROM next n CROSS JOIN waiting w ON w.event_id = n.event_id",
            &[now.0.into(), AT_ONCE.into()],
        )?;
        rows.iter().map(pdu_of).collect()
    }

    /// Forgets an event that came to a result. Of another it is noted what it waits for now; one that waits for the same
    /// has a pause.
    fn settle_waiting(self, pdu: &Pdu, result: Option<&PduResult>, now: Millis) -> Result<(), SqlError> {
        let event_id = pdu.id().as_str();
        let Some(missing) = result.map_or(Some(&[] as &[_]), wants) else {
            self.0.query("DELETE FROM waiting WHERE event_id = ?", &[event_id.into()])?;
            return Ok(());
        };
        let missing = serde_json::to_string(missing).map_err(damaged)?;
        self.0.query(
            "UPDATE waiting SET missing = ?1, attempts = iif(missing = ?1, attempts + 1, 0),
                 retry_at = iif(missing = ?1, ?2 + min(?3 << min(attempts, 20), ?4), 0) WHERE event_id = ?5",
            &[missing.into(), now.0.into(), PAUSE_MS.into(), LONGEST_PAUSE_MS.into(), event_id.into()],
        )?;
        Ok(())
    }
}
