//! Rows of to-device messages that wait, or are in the transaction in flight.

use ruma::UserId;
use tern_model::RawJson;
use tern_object_kit::schema::Step;
use tern_ports::{Row, Sql, SqlError};

use super::store::{Span, Store, damaged};

/// Ids grow, since what is in flight stays until it has arrived. The table is nearly always empty, and so has no index.
pub(super) const TABLES: Step = &["CREATE TABLE to_device (
    id INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    edu TEXT NOT NULL
) STRICT"];

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl<S: Sql> Store<'_, S> {
    /// How much waits of a sender, and in all.
    pub(super) fn loads(&self, sender: Option<&UserId>) -> Result<(Load, Load), SqlError> {
        let sql = "SELECT coalesce(sum(sender = ?1), 0), coalesce(sum(bytes * (sender = ?1)), 0), count(*),
             coalesce(sum(bytes), 0) FROM to_device";
        let rows = self.0.query(sql, &[sender.map_or("", UserId::as_str).into()])?;
        let number = |index| rows.first().and_then(|row| row.int(index)).unwrap_or_default();
        Ok((Load { messages: number(0), bytes: number(1) }, Load { messages: number(2), bytes: number(3) }))
    }

    /// Queues a message, unless it waits already.
    pub(super) fn queue_message(&self, sender: &UserId, message_id: &str, edu: &RawJson) -> Result<(), SqlError> {
        let bytes = edu.text().len() as u64;
        self.0.query(
            "INSERT INTO to_device (message_id, sender, bytes, edu) SELECT ?1, ?2, ?3, ?4
             WHERE NOT EXISTS (SELECT 1 FROM to_device WHERE message_id = ?1)",
            &[message_id.into(), sender.as_str().into(), bytes.into(), edu.text().into()],
        )?;
        Ok(())
    }

    /// The oldest messages.
    pub(super) fn messages(&self, limit: u32) -> Result<Vec<(u64, RawJson)>, SqlError> {
        let sql = "SELECT id, edu FROM to_device ORDER BY id LIMIT +?";
        self.0.query(sql, &[u64::from(limit).into()])?.iter().map(message_of).collect()
    }

    /// Those of a span that are still there.
    pub(super) fn messages_in(&self, span: Span) -> Result<Vec<(u64, RawJson)>, SqlError> {
        let sql = "SELECT id, edu FROM to_device WHERE id BETWEEN ? AND ? ORDER BY id";
        self.0.query(sql, &[span.from.into(), span.through.into()])?.iter().map(message_of).collect()
    }

    pub(super) fn drop_messages(&self, span: Span) -> Result<(), SqlError> {
        self.0.query("DELETE FROM to_device WHERE id BETWEEN ? AND ?", &[span.from.into(), span.through.into()])?;
        Ok(())
    }
}

fn message_of(row: &Row) -> Result<(u64, RawJson), SqlError> {
    let id = row.int(0).ok_or_else(|| damaged("a number is missing"))?;
    Ok((id, RawJson::parse(row.string(1).unwrap_or_default()).map_err(damaged)?))
}
