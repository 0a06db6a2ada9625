//! With whom the user shares rooms, and how far a change of the user's devices was announced to them.

use ruma::{OwnedUserId, RoomId, UserId};
use tern_ports::{Row, Sql, SqlError};

/// Adds a companion; false when it was one of this room already.
pub(in crate::user) fn add(sql: &impl Sql, room_id: &RoomId, user_id: &UserId) -> Result<bool, SqlError> {
    let rows = sql.query(
        "INSERT INTO companion (user_id, room_id) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1",
        &[user_id.as_str().into(), room_id.as_str().into()],
    )?;
    Ok(!rows.is_empty())
}

/// Removes a companion; false when it was none of this room.
pub(in crate::user) fn remove(sql: &impl Sql, room_id: &RoomId, user_id: &UserId) -> Result<bool, SqlError> {
    let rows = sql.query(
        "DELETE FROM companion WHERE user_id = ? AND room_id = ? RETURNING 1",
        &[user_id.as_str().into(), room_id.as_str().into()],
    )?;
    Ok(!rows.is_empty())
}

/// Companions of one room.
pub(in crate::user) fn of_room(sql: &impl Sql, room_id: &RoomId) -> Result<Vec<OwnedUserId>, SqlError> {
    let rows = sql.query("SELECT user_id FROM companion WHERE room_id = ?", &[room_id.as_str().into()])?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

/// At most `limit` of those with whom some room is shared.
pub(in crate::user) fn some(sql: &impl Sql, limit: u64) -> Result<Vec<OwnedUserId>, SqlError> {
    let rows = sql.query("SELECT DISTINCT user_id FROM companion LIMIT ?", &[limit.into()])?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

/// Some room is shared.
pub(in crate::user) fn any(sql: &impl Sql, user_id: &UserId) -> Result<bool, SqlError> {
    let rows = sql.query("SELECT 1 FROM companion WHERE user_id = ? LIMIT 1", &[user_id.as_str().into()])?;
    Ok(!rows.is_empty())
}

/// How far a change was announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::user) struct Announcement {
    /// Which change: grows with each.
    pub(in crate::user) change: u64,
    /// Users up to this one, in order of id, were told.
    pub(in crate::user) after_user: String,
    /// How often it was tried before.
    pub(in crate::user) attempt: u64,
    /// Somebody could not be reached in this pass.
    pub(in crate::user) failed: bool,
}

pub(in crate::user) fn announcement(sql: &impl Sql) -> Result<Option<Announcement>, SqlError> {
    let rows = sql.query("SELECT change, after_user, attempt, failed FROM announcement", &[])?;
    let state = |row: &Row| {
        let (change, after_user) = (row.int(0)?, row.string(1)?);
        Some(Announcement { change, after_user, attempt: row.int(2)?, failed: row.flag(3) })
    };
    Ok(rows.first().and_then(state))
}

pub(in crate::user) fn set_announcement(sql: &impl Sql, state: Option<&Announcement>) -> Result<(), SqlError> {
    match state {
        Some(state) => sql.query(
            "INSERT INTO announcement (id, change, after_user, attempt, failed) VALUES (1, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET change = excluded.change, after_user = excluded.after_user,
             attempt = excluded.attempt, failed = excluded.failed",
            &[state.change.into(), state.after_user.as_str().into(), state.attempt.into(), state.failed.into()],
        )?,
        None => sql.query("DELETE FROM announcement", &[])?,
    };
    Ok(())
}
