//! Sliding sync connections: one row per connection, written once per answer. What was told of rooms is a column of its
//! own, which a step without news does not read, and so are answers kept for repeated requests. Rooms of large accounts
//! are put into parts.

use ruma::{DeviceId, EventId};
use tern_model::{Millis, RawJson};
use tern_ports::{Row, Sql, SqlError, Value};
use tern_sync::{Body, Save};

/// Rooms in a column of their own, a line for each: the answer that told of it, zero once that is acknowledged, the id, and
/// what was told. They were within the connection's JSON.
pub(crate) const ROOMS: &[&str] = &[
    "ALTER TABLE connection ADD COLUMN rooms TEXT NOT NULL DEFAULT ''",
    "UPDATE connection SET rooms =
        coalesce((SELECT group_concat('0\t' || json_quote(key) || '\t' || value || '\n', '')
            FROM json_each(connection.text, '$.told.rooms')), '')
        || coalesce((SELECT group_concat(branch.value ->> '$.answer.to' || '\t' || json_quote(room.key) || '\t'
                || room.value || '\n', '')
            FROM json_each(connection.text, '$.branches') branch, json_each(branch.value, '$.told.rooms') room), '')
     WHERE json_valid(text)",
    "UPDATE connection_part SET text =
        coalesce((SELECT group_concat('0\t' || json_quote(key) || '\t' || value || '\n', '')
            FROM json_each(connection_part.text)), '')
     WHERE json_valid(text)",
];

/// The columns of kept answers.
pub(crate) const BODIES: [&str; 4] = ["body_0", "body_1", "body_2", "body_3"];

/// A stored connection.
pub(crate) struct ConnectionRow {
    pub(crate) used: Millis,
    /// Grows with each write.
    pub(crate) revision: u64,
    pub(crate) text: String,
}

/// Names a connection.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) device_id: &'a DeviceId,
    pub(crate) conn_id: &'a str,
}

impl Key<'_> {
    fn params(self) -> Vec<Value> {
        vec![self.device_id.as_str().into(), self.conn_id.into()]
    }

    fn with(self, more: impl IntoIterator<Item = Value>) -> Vec<Value> {
        self.params().into_iter().chain(more).collect()
    }
}

pub(crate) fn load(sql: &impl Sql, key: Key<'_>) -> Result<Option<ConnectionRow>, SqlError> {
    let rows =
        sql.query("SELECT used, revision, text FROM connection WHERE device_id = ? AND conn_id = ?", &key.params())?;
    let connection =
        |row: &Row| Some(ConnectionRow { used: Millis(row.int(0)?), revision: row.int(1)?, text: row.string(2)? });
    Ok(rows.first().and_then(connection))
}

/// The revision stored now; zero when there is none.
pub(crate) fn revision(sql: &impl Sql, key: Key<'_>) -> Result<u64, SqlError> {
    let rows = sql.query("SELECT revision FROM connection WHERE device_id = ? AND conn_id = ?", &key.params())?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}

/// One of the engine's parts.
pub(crate) fn part(sql: &impl Sql, key: Key<'_>, number: u8) -> Result<Option<String>, SqlError> {
    let rows = sql.query(
        "SELECT text FROM connection_part WHERE device_id = ? AND conn_id = ? AND number = ?",
        &key.with([u64::from(number).into()]),
    )?;
    Ok(rows.first().and_then(|row| row.string(0)))
}

pub(crate) fn set_part(sql: &impl Sql, key: Key<'_>, number: u8, text: &str) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO connection_part (device_id, conn_id, number, text) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET text = excluded.text",
        &key.with([u64::from(number).into(), text.into()]),
    )?;
    Ok(())
}

/// Writes a connection, and of the kept answers those that change.
pub(crate) fn write(sql: &impl Sql, key: Key<'_>, used: Millis, revision: u64, save: &Save) -> Result<(), SqlError> {
    let body = |body: &Body| match body {
        Body::Stay | Body::Clear => Value::Null,
        Body::Put(body) => body.text().into(),
    };
    let row = [used.0.into(), revision.into(), save.conn.text().into(), save.conn.rooms().into()];
    let mut params = key.with(row.into_iter().chain(save.bodies.iter().map(body)));
    if revision == 1 {
        sql.query(
            "INSERT OR REPLACE INTO connection (device_id, conn_id, used, revision, text, rooms, body_0, body_1, body_2,
             body_3) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &params,
        )?;
        return Ok(());
    }
    // One statement whatever changes, so that it is prepared once: the last parameter says by its bits what does.
    let changes = save.bodies.iter().enumerate().filter(|(_, body)| **body != Body::Stay);
    params.push(changes.fold(0_u64, |bits, (place, _)| bits | (1 << place)).into());
    sql.query(
        "UPDATE connection SET used = ?3, revision = ?4, text = ?5, rooms = ?6,
            body_0 = CASE WHEN ?11 & 1 THEN ?7 ELSE body_0 END, body_1 = CASE WHEN ?11 & 2 THEN ?8 ELSE body_1 END,
            body_2 = CASE WHEN ?11 & 4 THEN ?9 ELSE body_2 END, body_3 = CASE WHEN ?11 & 8 THEN ?10 ELSE body_3 END
         WHERE device_id = ?1 AND conn_id = ?2",
        &params,
    )?;
    Ok(())
}

/// What was told of rooms.
pub(crate) fn rooms(sql: &impl Sql, key: Key<'_>) -> Result<Option<String>, SqlError> {
    let rows = sql.query("SELECT rooms FROM connection WHERE device_id = ? AND conn_id = ?", &key.params())?;
    Ok(rows.first().and_then(|row| row.string(0)))
}

/// The answer kept in a place.
pub(crate) fn body(sql: &impl Sql, key: Key<'_>, place: u8) -> Result<Option<RawJson>, SqlError> {
    let Some(column) = BODIES.get(usize::from(place)) else { return Ok(None) };
    let query = format!("SELECT {column} FROM connection WHERE device_id = ? AND conn_id = ?");
    let rows = sql.query(&query, &key.params())?;
    Ok(rows.first().and_then(|row| RawJson::parse(row.string(0)?).ok()))
}

/// Drops kept answers that speak of an event.
pub(crate) fn drop_bodies_with(sql: &impl Sql, event_id: &EventId) -> Result<(), SqlError> {
    for column in BODIES {
        let update = format!("UPDATE connection SET {column} = NULL WHERE instr({column}, ?) > 0");
        sql.query(&update, &[event_id.as_str().into()])?;
    }
    Ok(())
}

/// Notes that a connection is still in use.
pub(crate) fn touch(sql: &impl Sql, key: Key<'_>, now: Millis) -> Result<(), SqlError> {
    sql.query(
        "UPDATE connection SET used = ? WHERE device_id = ? AND conn_id = ?",
        &[now.0.into(), key.device_id.as_str().into(), key.conn_id.into()],
    )?;
    Ok(())
}

/// Makes room for a new connection of a device: the longest unused ones beyond `keep` go, and all of the user's that were
/// not used since `before`.
pub(crate) fn make_room(sql: &impl Sql, device_id: &DeviceId, keep: usize, before: Millis) -> Result<(), SqlError> {
    let rows = sql.query("SELECT device_id, conn_id, used FROM connection ORDER BY used DESC", &[])?;
    let mut kept = 0;
    let mut goes = |row: &&Row| {
        let own = row.text(0) == Some(device_id.as_str());
        kept += usize::from(own);
        (own && kept > keep) || row.int(2).is_none_or(|used| used < before.0)
    };
    for row in rows.iter().filter(|row| goes(row)) {
        let (Some(device), Some(conn_id)) = (row.text(0), row.text(1)) else { continue };
        delete(sql, Key { device_id: device.into(), conn_id })?;
    }
    Ok(())
}

pub(crate) fn delete(sql: &impl Sql, key: Key<'_>) -> Result<(), SqlError> {
    sql.query("DELETE FROM connection_part WHERE device_id = ? AND conn_id = ?", &key.params())?;
    sql.query("DELETE FROM connection WHERE device_id = ? AND conn_id = ?", &key.params())?;
    Ok(())
}

pub(crate) fn delete_device(sql: &impl Sql, device_id: &DeviceId) -> Result<(), SqlError> {
    sql.query("DELETE FROM connection_part WHERE device_id = ?", &[device_id.as_str().into()])?;
    sql.query("DELETE FROM connection WHERE device_id = ?", &[device_id.as_str().into()])?;
    Ok(())
}
