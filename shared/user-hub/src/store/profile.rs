//! The profile, and how far a change of it was carried into rooms.

use tern_model::RawJson;
use tern_ports::{Row, Sql, SqlError, wire::user::Profile};

pub(crate) fn read(sql: &impl Sql) -> Result<Profile, SqlError> {
    let rows = sql.query("SELECT field, value FROM profile", &[])?;
    let field = |row: &Row| Some((row.string(0)?, RawJson::parse(row.string(1)?).ok()?));
    Ok(rows.iter().filter_map(field).collect())
}

pub(crate) fn write(sql: &impl Sql, field: &str, value: Option<&RawJson>) -> Result<(), SqlError> {
    match value {
        Some(value) => sql.query(
            "INSERT INTO profile (field, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            &[field.into(), value.text().into()],
        )?,
        None => sql.query("DELETE FROM profile WHERE field = ?", &[field.into()])?,
    };
    Ok(())
}

/// How far a change was carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Propagation {
    /// Which change: grows with each.
    pub(crate) change: u64,
    /// Rooms up to this one, in order of id, are done.
    pub(crate) after_room: String,
    /// How often it was tried before.
    pub(crate) attempt: u64,
    /// A room could not be reached in this pass.
    pub(crate) failed: bool,
}

pub(crate) fn propagation(sql: &impl Sql) -> Result<Option<Propagation>, SqlError> {
    let rows = sql.query("SELECT change, after_room, attempt, failed FROM propagation", &[])?;
    let state = |row: &Row| {
        Some(Propagation { change: row.int(0)?, after_room: row.string(1)?, attempt: row.int(2)?, failed: row.flag(3) })
    };
    Ok(rows.first().and_then(state))
}

pub(crate) fn set_propagation(sql: &impl Sql, state: Option<&Propagation>) -> Result<(), SqlError> {
    match state {
        Some(state) => sql.query(
            "INSERT INTO propagation (id, change, after_room, attempt, failed) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO
             UPDATE SET change = excluded.change, after_room = excluded.after_room, attempt = excluded.attempt, failed = excluded.failed",
            &[state.change.into(), state.after_room.as_str().into(), state.attempt.into(), state.failed.into()],
        )?,
        None => sql.query("DELETE FROM propagation", &[])?,
    };
    Ok(())
}
