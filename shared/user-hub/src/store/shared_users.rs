//! With whom the user shares rooms, and how far a change of the user's devices was announced to them.

use ruma::{OwnedUserId, RoomId, UserId};
use tern_model::{Millis, StreamPos};
use tern_ports::{Row, Sql, SqlError, wire::keys::RemoteUser};

/// Adds a user who shares a room; false when it was one of this room already.
pub(crate) fn add(sql: &impl Sql, room_id: &RoomId, user_id: &UserId) -> Result<bool, SqlError> {
    let rows = sql.query(
        "INSERT INTO companion (user_id, room_id) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1",
        &[user_id.as_str().into(), room_id.as_str().into()],
    )?;
    Ok(!rows.is_empty())
}

/// Removes a user who shares a room; false when it was none of this room.
pub(crate) fn remove(sql: &impl Sql, room_id: &RoomId, user_id: &UserId) -> Result<bool, SqlError> {
    let rows = sql.query(
        "DELETE FROM companion WHERE user_id = ? AND room_id = ? RETURNING 1",
        &[user_id.as_str().into(), room_id.as_str().into()],
    )?;
    Ok(!rows.is_empty())
}

/// Users who share one room.
pub(crate) fn of_room(sql: &impl Sql, room_id: &RoomId) -> Result<Vec<OwnedUserId>, SqlError> {
    let rows = sql.query("SELECT user_id FROM companion WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

/// At most `limit` of those with whom some room is shared.
pub(crate) fn some(sql: &impl Sql, limit: u64) -> Result<Vec<OwnedUserId>, SqlError> {
    let rows = sql.query("SELECT DISTINCT user_id FROM companion LIMIT +?", &[limit.into()])?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

/// Users looked at, at most, for those whose id contains a term.
const LOOKED_AT: u64 = 20_000;

/// At most `limit` of those with whom some room is shared and whose id contains `term`, which is in lower case.
pub(crate) fn named(sql: &impl Sql, term: &str, limit: u64) -> Result<Vec<OwnedUserId>, SqlError> {
    let rows = sql.query(
        "SELECT user_id FROM (SELECT DISTINCT user_id FROM companion LIMIT +?)
         WHERE instr(lower(user_id), ?) > 0 LIMIT +?",
        &[LOOKED_AT.into(), term.into(), limit.into()],
    )?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

/// Some room is shared.
pub(crate) fn any(sql: &impl Sql, user_id: &UserId) -> Result<bool, SqlError> {
    let rows = sql.query("SELECT 1 FROM companion WHERE user_id = ? LIMIT 1", &[user_id.as_str().into()])?;
    Ok(!rows.is_empty())
}

/// Those of `users`, a list in JSON, with whom some room is shared, and where their devices were last noted to have changed.
pub(crate) fn noted_at(sql: &impl Sql, users: &str) -> Result<Vec<RemoteUser>, SqlError> {
    let rows = sql.query(
        "SELECT j.value, coalesce(d.pos, 0) FROM json_each(?) j LEFT JOIN device_list d ON d.user_id = j.value
         WHERE EXISTS (SELECT 1 FROM companion c WHERE c.user_id = j.value)",
        &[users.into()],
    )?;
    let user = |row: &Row| {
        let user_id = row.text(0)?.try_into().ok()?;
        Some(RemoteUser { user_id, shared_at: Some(StreamPos(row.int(1)?)) })
    };
    Ok(rows.iter().filter_map(user).collect())
}

/// When the devices last changed, and whether everybody has been told.
pub(crate) const CHANGED: &[&str] = &[
    "ALTER TABLE announcement ADD COLUMN changed_ts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE announcement ADD COLUMN finished INTEGER NOT NULL DEFAULT 0",
];

/// How far a change was announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// Which change: grows with each.
    pub(crate) change: u64,
    /// Users and servers up to this one, in order of id or name, were told.
    pub(crate) after_user: String,
    /// How often it was tried before.
    pub(crate) attempt: u64,
    /// Somebody could not be reached in this pass.
    pub(crate) failed: bool,
}

/// The announcement that is under way.
pub(crate) fn announcement(sql: &impl Sql) -> Result<Option<Announcement>, SqlError> {
    let rows = sql.query("SELECT change, after_user, attempt, failed FROM announcement WHERE finished = 0", &[])?;
    let state = |row: &Row| {
        let (change, after_user) = (row.int(0)?, row.string(1)?);
        Some(Announcement { change, after_user, attempt: row.int(2)?, failed: row.flag(3) })
    };
    Ok(rows.first().and_then(state))
}

/// The devices changed at `at`: everybody is to be told.
pub(crate) fn announce(sql: &impl Sql, at: Millis) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO announcement (id, change, after_user, attempt, failed, changed_ts, finished)
         VALUES (1, 1, '', 0, 0, ?, 0) ON CONFLICT DO UPDATE SET change = change + 1, after_user = '', attempt = 0,
         failed = 0, changed_ts = excluded.changed_ts, finished = 0",
        &[at.0.into()],
    )?;
    Ok(())
}

/// Everybody is to be told again if the devices changed at `since` or later; false when they did not.
pub(crate) fn announce_again(sql: &impl Sql, since: Millis) -> Result<bool, SqlError> {
    let rows = sql.query(
        "UPDATE announcement SET change = change + 1, after_user = '', attempt = 0, failed = 0, finished = 0
         WHERE changed_ts >= ? RETURNING 1",
        &[since.0.into()],
    )?;
    Ok(!rows.is_empty())
}

/// Notes how far the announcement has come.
pub(crate) fn move_announcement(sql: &impl Sql, state: &Announcement) -> Result<(), SqlError> {
    sql.query(
        "UPDATE announcement SET after_user = ?, attempt = ?, failed = ?",
        &[state.after_user.as_str().into(), state.attempt.into(), state.failed.into()],
    )?;
    Ok(())
}

/// Everybody has been told.
pub(crate) fn finish_announcement(sql: &impl Sql) -> Result<(), SqlError> {
    sql.query("UPDATE announcement SET finished = 1", &[])?;
    Ok(())
}
