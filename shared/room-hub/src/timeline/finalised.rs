//! What became of delayed events (MSC4140): kept for a while, so that a request which is repeated, because its answer was
//! lost, is answered like the first one, and one that comes too late is told so.

use tern_model::MatrixError;
use tern_ports::{
    Row, Sql, SqlError,
    wire::delayed::{DelayAction, Delayed, FindDelayed},
};

use crate::timeline::{delayed::unknown, store::Store};
use tern_object_kit::schema::Step;

/// Events of a room of which it is known what became of them.
const MOST_KEPT: u64 = 1_000;

/// `ts` is the `origin_server_ts` that an application service wants.
pub(crate) const TABLES: Step = &[
    "CREATE TABLE finalised (
        id INTEGER PRIMARY KEY,
        delay_id TEXT NOT NULL UNIQUE,
        sender TEXT NOT NULL,
        device_id TEXT NOT NULL,
        txn_id TEXT,
        kind TEXT NOT NULL,
        sent INTEGER NOT NULL
    ) STRICT",
    "CREATE INDEX finalised_by_txn ON finalised (sender, device_id, txn_id) WHERE txn_id IS NOT NULL",
    "ALTER TABLE delayed ADD COLUMN ts INTEGER",
];

/// Columns that a finalised event keeps.
const KEPT: &str = "delay_id, sender, device_id, txn_id, kind";

impl<S: Sql> Store<'_, S> {
    /// A scheduled event was sent, or never will be; false when there is none of this name.
    pub(crate) fn finalise_delayed(self, delay_id: &str, sent: bool) -> Result<bool, SqlError> {
        let sql = format!("DELETE FROM delayed WHERE delay_id = ? RETURNING {KEPT}");
        let gone = self.0.query(&sql, &[delay_id.into()])?;
        self.keep_finalised(&gone, sent)?;
        Ok(!gone.is_empty())
    }

    /// State that somebody else sets ends what was scheduled for the same place.
    pub(crate) fn supersede_delayed(self, kind: &str, state_key: &str, sender: &str) -> Result<(), SqlError> {
        let sql = format!("DELETE FROM delayed WHERE kind = ? AND state_key = ? AND sender <> ? RETURNING {KEPT}");
        let gone = self.0.query(&sql, &[kind.into(), state_key.into(), sender.into()])?;
        self.keep_finalised(&gone, false)
    }

    fn keep_finalised(self, gone: &[Row], sent: bool) -> Result<(), SqlError> {
        let mut newest = None;
        for row in gone {
            let text = |index| row.string(index).into();
            let params = [text(0), text(1), text(2), text(3), text(4), sent.into()];
            let sql = format!("INSERT INTO finalised ({KEPT}, sent) VALUES (?, ?, ?, ?, ?, ?) RETURNING id");
            newest = self.0.query(&sql, &params)?.first().and_then(|row| row.int(0)).or(newest);
        }
        if let Some(surplus) = newest.and_then(|newest: u64| newest.checked_sub(MOST_KEPT)) {
            self.0.query("DELETE FROM finalised WHERE id <= ?", &[surplus.into()])?;
        }
        Ok(())
    }

    /// Whether an event was sent; `None` when it is not known any more, or never was.
    fn finalised(self, delay_id: &str) -> Result<Option<bool>, SqlError> {
        let rows = self.0.query("SELECT sent FROM finalised WHERE delay_id = ?", &[delay_id.into()])?;
        Ok(rows.first().map(|row| row.flag(0)))
    }

    /// What was answered to the first request of a transaction.
    pub(crate) fn repeated_delayed(self, ask: &FindDelayed) -> Result<Option<Delayed>, SqlError> {
        let key = [
            ask.sender.as_str().into(),
            ask.device_id.as_str().into(),
            ask.txn_id.as_str().into(),
            ask.kind.as_str().into(),
        ];
        for table in ["delayed", "finalised"] {
            let sql = format!(
                "SELECT delay_id FROM {table} WHERE sender = ? AND device_id = ? AND txn_id = ? AND kind = ? LIMIT 1"
            );
            if let Some(delay_id) = self.0.query(&sql, &key)?.first().and_then(|row| row.string(0)) {
                return Ok(Some(Delayed { delay_id }));
            }
        }
        Ok(None)
    }

    /// The answer to an action upon an event that waits no more: what it wants is so, or can be no more.
    pub(crate) fn answer_finalised(self, delay_id: &str, action: DelayAction) -> Result<(), MatrixError> {
        let sent = self.finalised(delay_id)?.ok_or_else(unknown)?;
        match (action, sent) {
            (DelayAction::Send, true) | (DelayAction::Cancel, false) => Ok(()),
            (_, true) => Err(MatrixError::new(409, "M_UNKNOWN", "The delayed event was sent already")),
            (_, false) => Err(MatrixError::new(409, "M_UNKNOWN", "The delayed event was cancelled")),
        }
    }
}
