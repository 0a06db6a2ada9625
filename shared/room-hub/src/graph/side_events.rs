//! Events beside the timeline: refused ones, and those that are known only because others cite them.

use ruma::OwnedEventId;
use tern_model::{Pdu, RawJson, RoomSeq};
use tern_object_kit::schema::Step;
use tern_ports::{Row, Sql, SqlError};

use crate::timeline::store::{Store, damaged};

/// Rejected and soft-failed events that are kept, and bytes of them; older ones are checked again if somebody refers to
/// them.
const CHECKED_KEPT: (u64, u64) = (1_000, 6 * 1024 * 1024);

/// Outliers that are kept: those that nothing here cites, as many as one request brings, and those in the auth chains of
/// events that were checked, as many as superseded state events. Older ones are sent again if somebody refers to them.
const OUTLIERS_KEPT: (u64, u64) = (500, 4 * 1024 * 1024);
const CITED_KEPT: (u64, u64) = (10_000, 32 * 1024 * 1024);

pub(crate) const CITED: Step = &[
    // The row is in the auth chain of an event that was checked.
    "ALTER TABLE aside ADD COLUMN used INTEGER NOT NULL DEFAULT 0",
    "UPDATE aside SET used = 1",
];

/// A known event beside the timeline.
pub(crate) struct SideEvent {
    pub(crate) verdict: EventStatus,
    pub(crate) reason: Option<String>,
    pub(crate) pdu: Pdu,
}

/// Why an event is not part of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventStatus {
    Rejected,
    SoftFailed,
    Outlier,
}

impl EventStatus {
    const ALL: [Self; 3] = [Self::Rejected, Self::SoftFailed, Self::Outlier];

    const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::SoftFailed => "soft_failed",
            Self::Outlier => "cited",
        }
    }
}

impl<S: Sql> Store<'_, S> {
    /// A known event beside the timeline.
    pub(crate) fn side_event(self, event_id: &str) -> Result<Option<SideEvent>, SqlError> {
        let rows =
            self.0.query("SELECT event_id, verdict, reason, pdu FROM aside WHERE event_id = ?", &[event_id.into()])?;
        rows.first().map(side_event_of).transpose()
    }

    /// Keeps an event beside the timeline.
    pub(crate) fn store_side_event(
        self,
        pdu: &Pdu,
        verdict: EventStatus,
        reason: Option<&str>,
        since: RoomSeq,
    ) -> Result<(), SqlError> {
        let params =
            [pdu.id().as_str().into(), verdict.name().into(), reason.into(), since.0.into(), pdu.raw().text().into()];
        self.0.query(
            "INSERT INTO aside (event_id, verdict, reason, since, pdu) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason, since = excluded.since",
            &params,
        )?;
        Ok(())
    }

    /// Notes that an event was checked that cites these: with them their auth chains are needed, as far as they are
    /// outliers.
    pub(crate) fn use_outliers(self, auth: &[OwnedEventId]) -> Result<(), SqlError> {
        self.0.query(
            "WITH RECURSIVE chain (id) AS (
                 SELECT value FROM json_each(?)
                 UNION SELECT iif(e.type = 'array', e.value ->> 0, e.value) FROM chain c
                     CROSS JOIN aside a ON a.event_id = c.id AND a.used = 0
                     CROSS JOIN json_each(a.pdu, '$.auth_events') e
             ) UPDATE aside SET used = 1 WHERE used = 0 AND event_id IN (SELECT id FROM chain)",
            &[serde_json::to_string(auth).map_err(damaged)?.into()],
        )?;
        Ok(())
    }

    /// Forgets the oldest side events that are too many, and the states after them.
    pub(crate) fn cap_side_events(self) -> Result<(), SqlError> {
        self.forget_oldest("verdict = 'cited' AND used = 0", OUTLIERS_KEPT)?;
        self.forget_oldest("verdict = 'cited' AND used = 1", CITED_KEPT)?;
        // Outliers have no state group.
        let checked = self.forget_oldest("verdict <> 'cited'", CHECKED_KEPT)?;
        for row in &checked {
            self.drop_state_group(row.text(0).unwrap_or_default())?;
        }
        if checked.is_empty() { Ok(()) } else { self.sweep_state_groups() }
    }

    /// Deletes the oldest of the side events `of` this kind beyond a number and a sum of bytes; returns their ids.
    fn forget_oldest(self, of: &str, (number, bytes): (u64, u64)) -> Result<Vec<Row>, SqlError> {
        let sql = format!(
            "DELETE FROM aside WHERE rowid IN
                 (SELECT rowid FROM (
                     SELECT rowid, row_number() OVER newest AS number, sum(length(pdu)) OVER newest AS bytes
                     FROM aside WHERE {of} WINDOW newest AS (ORDER BY rowid DESC)
                 ) WHERE number > +? OR bytes > +?) RETURNING event_id"
        );
        self.0.query(&sql, &[number.into(), bytes.into()])
    }

    /// Forgets that an event was known only because it was cited.
    pub(crate) fn drop_outlier(self, event_id: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM aside WHERE event_id = ? AND verdict = 'cited'", &[event_id.into()])?;
        Ok(())
    }
}

/// Reads a row of `event_id`, `verdict`, `reason`, `pdu`.
pub(crate) fn side_event_of(row: &Row) -> Result<SideEvent, SqlError> {
    let name = row.text(1).unwrap_or_default();
    let verdict = EventStatus::ALL.into_iter().find(|status| status.name() == name);
    let verdict = verdict.ok_or_else(|| damaged("an unknown verdict"))?;
    let event_id = OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
    let raw = RawJson::parse(row.string(3).unwrap_or_default()).map_err(damaged)?;
    let pdu = Pdu::parse(event_id, raw).map_err(damaged)?;
    let pdu = if verdict == EventStatus::Rejected { pdu.into_rejected() } else { pdu };
    Ok(SideEvent { verdict, reason: row.string(2), pdu })
}
