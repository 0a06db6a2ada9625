//! Events beside the timeline: refused ones, and those that are known only because others cite them.

use ruma::OwnedEventId;
use tern_model::{Pdu, RawJson, RoomSeq};
use tern_ports::{Row, Sql, SqlError};

use crate::timeline::store::{Store, damaged};

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
            "INSERT INTO aside VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET verdict = excluded.verdict,
                 reason = excluded.reason, since = excluded.since",
            &params,
        )?;
        Ok(())
    }

    /// Forgets that an event was known only because it was cited.
    pub(crate) fn drop_outlier(self, event_id: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM aside WHERE event_id = ? AND verdict = 'cited'", &[event_id.into()])?;
        Ok(())
    }
}

fn side_event_of(row: &Row) -> Result<SideEvent, SqlError> {
    let name = row.text(1).unwrap_or_default();
    let verdict = EventStatus::ALL.into_iter().find(|status| status.name() == name);
    let verdict = verdict.ok_or_else(|| damaged("an unknown verdict"))?;
    let event_id = OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
    let raw = RawJson::parse(row.string(3).unwrap_or_default()).map_err(damaged)?;
    let pdu = Pdu::parse(event_id, raw).map_err(damaged)?;
    let pdu = if verdict == EventStatus::Rejected { pdu.into_rejected() } else { pdu };
    Ok(SideEvent { verdict, reason: row.string(2), pdu })
}
