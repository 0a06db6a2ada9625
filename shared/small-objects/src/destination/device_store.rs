//! Rows about the keys of the server's users: what it said of them, and who here has looked.

use ruma::{OwnedUserId, UserId};
use tern_model::{Millis, StreamPos};
use tern_object_kit::schema::Step;
use tern_ports::{Row, Sql, SqlError, wire::keys::PublicKeys};

use super::store::{Store, damaged};

/// `asked` is when the server was asked. A watcher is told of what changes from `since` on; `due` says that it is still to be
/// told of a change.
pub(super) const TABLES: Step = &[
    "CREATE TABLE device_keys (user_id TEXT PRIMARY KEY, asked INTEGER NOT NULL, keys TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE watcher (
        user_id TEXT NOT NULL,
        watcher TEXT NOT NULL,
        shared_at INTEGER NOT NULL,
        since INTEGER NOT NULL,
        due INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, watcher)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX watcher_due ON watcher (user_id) WHERE due = 1",
];

/// Somebody here who has looked up the keys of one of the server's users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watcher {
    /// Where the user was last noted in the watcher's stream.
    pub(super) shared_at: StreamPos,
    pub(super) since: Millis,
}

impl<S: Sql> Store<'_, S> {
    /// What the server said of a user when it was asked at `oldest` or later.
    pub(super) fn keys(&self, user_id: &UserId, oldest: Millis) -> Result<Option<PublicKeys>, SqlError> {
        let sql = "SELECT keys FROM device_keys WHERE user_id = ? AND asked >= ?";
        let rows = self.0.query(sql, &[user_id.as_str().into(), oldest.0.into()])?;
        let keys = rows.first().and_then(|row| row.text(0));
        keys.map(|keys| serde_json::from_str(keys).map_err(damaged)).transpose()
    }

    pub(super) fn put_keys(&self, user_id: &UserId, keys: &PublicKeys, asked: Millis) -> Result<(), SqlError> {
        let keys = serde_json::to_string(keys).map_err(damaged)?;
        self.0.query(
            "INSERT INTO device_keys VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET asked = excluded.asked, keys = excluded.keys WHERE asked <= excluded.asked",
            &[user_id.as_str().into(), asked.0.into(), keys.into()],
        )?;
        Ok(())
    }

    pub(super) fn drop_keys(&self, user_id: &UserId) -> Result<(), SqlError> {
        self.0.query("DELETE FROM device_keys WHERE user_id = ?", &[user_id.as_str().into()])?;
        Ok(())
    }

    pub(super) fn watcher(&self, user_id: &UserId, watcher: &UserId) -> Result<Option<Watcher>, SqlError> {
        let sql = "SELECT shared_at, since FROM watcher WHERE user_id = ? AND watcher = ?";
        let rows = self.0.query(sql, &[user_id.as_str().into(), watcher.as_str().into()])?;
        let read = |row: &Row| Some(Watcher { shared_at: StreamPos(row.int(0)?), since: Millis(row.int(1)?) });
        Ok(rows.first().and_then(read))
    }

    /// One who has been there since then already stays.
    pub(super) fn put_watcher(&self, user_id: &UserId, watcher: &UserId, row: Watcher) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO watcher (user_id, watcher, shared_at, since) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET shared_at = excluded.shared_at, since = max(since, excluded.since)
             WHERE shared_at != excluded.shared_at",
            &[user_id.as_str().into(), watcher.as_str().into(), row.shared_at.0.into(), row.since.0.into()],
        )?;
        Ok(())
    }

    /// All who watch a user are to be told of a change; false when nobody does.
    pub(super) fn mark_watchers(&self, user_id: &UserId, since: Millis) -> Result<bool, SqlError> {
        let sql = "UPDATE watcher SET due = 1, since = max(since + 1, ?) WHERE user_id = ? RETURNING 1";
        Ok(!self.0.query(sql, &[since.0.into(), user_id.as_str().into()])?.is_empty())
    }

    /// Users who have changed, who is to be told, and since when.
    pub(super) fn due_watchers(&self, limit: u32) -> Result<Vec<(OwnedUserId, OwnedUserId, Millis)>, SqlError> {
        let sql = "SELECT user_id, watcher, since FROM watcher WHERE due = 1 LIMIT +?";
        let rows = self.0.query(sql, &[u64::from(limit).into()])?;
        let due = |row: &Row| {
            let user = |index| row.text(index).and_then(|text| OwnedUserId::try_from(text).ok());
            Some((user(0)?, user(1)?, Millis(row.int(2)?)))
        };
        Ok(rows.iter().filter_map(due).collect())
    }

    /// A watcher was told of the change at `since`: it noted that at a position, or shares no room any more.
    pub(super) fn settle_watcher(
        &self,
        user_id: &UserId,
        watcher: &UserId,
        since: Millis,
        noted: Option<StreamPos>,
    ) -> Result<(), SqlError> {
        let (user_id, watcher) = (user_id.as_str(), watcher.as_str());
        match noted {
            Some(shared_at) => self.0.query(
                "UPDATE watcher SET due = 0, shared_at = ? WHERE user_id = ? AND watcher = ? AND since = ?",
                &[shared_at.0.into(), user_id.into(), watcher.into(), since.0.into()],
            )?,
            None => self.0.query(
                "DELETE FROM watcher WHERE user_id = ? AND watcher = ? AND since = ?",
                &[user_id.into(), watcher.into(), since.0.into()],
            )?,
        };
        Ok(())
    }
}
