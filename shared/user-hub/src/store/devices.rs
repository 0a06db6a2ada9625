//! Devices, their sessions, refresh tokens, and the stream of changed device lists.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use tern_model::{Millis, StreamPos};
use tern_ports::{Row, Sql, SqlError};

use super::Span;

/// A device.
pub(crate) struct DeviceRow {
    pub(crate) device_id: OwnedDeviceId,
    /// `None` after the server signed it out.
    pub(crate) session_id: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) last_seen_ts: Millis,
    pub(crate) last_seen_ip: Option<String>,
    /// Generation of the newest refresh token that was used.
    pub(crate) generation: u64,
    /// When an access token of that generation was first used.
    pub(crate) settled: Option<Millis>,
}

/// A version of the hub's tables.
pub(crate) const SETTLED: &[&str] = &["ALTER TABLE device ADD COLUMN settled INTEGER"];

const COLUMNS: &str = "device_id, session_id, display_name, last_seen_ts, last_seen_ip, generation, settled";

fn device(row: &Row) -> Option<DeviceRow> {
    Some(DeviceRow {
        device_id: row.text(0)?.into(),
        session_id: row.string(1),
        display_name: row.string(2),
        last_seen_ts: Millis(row.int(3)?),
        last_seen_ip: row.string(4),
        generation: row.int(5)?,
        settled: row.int(6).map(Millis),
    })
}

pub(crate) fn load(sql: &impl Sql, device_id: &DeviceId) -> Result<Option<DeviceRow>, SqlError> {
    let rows = sql.query(&format!("SELECT {COLUMNS} FROM device WHERE device_id = ?"), &[device_id.as_str().into()])?;
    Ok(rows.first().and_then(device))
}

pub(crate) fn all(sql: &impl Sql) -> Result<Vec<DeviceRow>, SqlError> {
    let rows = sql.query(&format!("SELECT {COLUMNS} FROM device ORDER BY device_id"), &[])?;
    Ok(rows.iter().filter_map(device).collect())
}

pub(crate) fn write(sql: &impl Sql, row: &DeviceRow) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO device (device_id, session_id, display_name, last_seen_ts, last_seen_ip, generation, settled)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET session_id = excluded.session_id,
         display_name = excluded.display_name, last_seen_ts = excluded.last_seen_ts,
         last_seen_ip = excluded.last_seen_ip, generation = excluded.generation, settled = excluded.settled",
        &[
            row.device_id.as_str().into(),
            row.session_id.clone().into(),
            row.display_name.clone().into(),
            row.last_seen_ts.0.into(),
            row.last_seen_ip.clone().into(),
            row.generation.into(),
            row.settled.map(|at| at.0).into(),
        ],
    )?;
    Ok(())
}

/// Notes that an access token of the newest generation was used.
pub(crate) fn settle(sql: &impl Sql, device_id: &DeviceId, at: Millis) -> Result<(), SqlError> {
    sql.query("UPDATE device SET settled = ? WHERE device_id = ?", &[at.0.into(), device_id.as_str().into()])?;
    Ok(())
}

pub(crate) fn seen(sql: &impl Sql, device_id: &DeviceId, at: Millis) -> Result<(), SqlError> {
    sql.query("UPDATE device SET last_seen_ts = ? WHERE device_id = ?", &[at.0.into(), device_id.as_str().into()])?;
    Ok(())
}

pub(crate) fn delete(sql: &impl Sql, device_id: &DeviceId) -> Result<(), SqlError> {
    sql.query("DELETE FROM device WHERE device_id = ?", &[device_id.as_str().into()])?;
    Ok(())
}

/// Adds a refresh token's hash.
pub(crate) fn add_token(sql: &impl Sql, device_id: &DeviceId, hash: &[u8], generation: u64) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO refresh_token (device_id, hash, generation) VALUES (?, ?, ?)",
        &[device_id.as_str().into(), hash.to_vec().into(), generation.into()],
    )?;
    Ok(())
}

/// A refresh token.
pub(crate) struct TokenRow {
    pub(crate) device_id: OwnedDeviceId,
    pub(crate) hash: Vec<u8>,
    pub(crate) generation: u64,
    /// When it was first used.
    pub(crate) used: Option<Millis>,
}

/// Every known refresh token.
pub(crate) fn tokens(sql: &impl Sql) -> Result<Vec<TokenRow>, SqlError> {
    let rows = sql.query("SELECT device_id, hash, generation, used FROM refresh_token", &[])?;
    let token = |row: &Row| {
        Some(TokenRow {
            device_id: row.text(0)?.into(),
            hash: row.blob(1)?.to_vec(),
            generation: row.int(2)?,
            used: row.int(3).map(Millis),
        })
    };
    Ok(rows.iter().filter_map(token).collect())
}

/// Notes the first use of a token.
pub(crate) fn use_token(sql: &impl Sql, device_id: &DeviceId, hash: &[u8], at: Millis) -> Result<(), SqlError> {
    sql.query(
        "UPDATE refresh_token SET used = ? WHERE device_id = ? AND hash = ? AND used IS NULL",
        &[at.0.into(), device_id.as_str().into(), hash.to_vec().into()],
    )?;
    Ok(())
}

/// Other tokens of this generation become old ones.
pub(crate) fn retire_siblings(
    sql: &impl Sql,
    device_id: &DeviceId,
    hash: &[u8],
    generation: u64,
) -> Result<(), SqlError> {
    sql.query(
        "UPDATE refresh_token SET generation = generation - 1 WHERE device_id = ? AND generation = ? AND hash <> ?",
        &[device_id.as_str().into(), generation.into(), hash.to_vec().into()],
    )?;
    Ok(())
}

/// Forgets all tokens of a device.
pub(crate) fn drop_tokens(sql: &impl Sql, device_id: &DeviceId) -> Result<(), SqlError> {
    sql.query("DELETE FROM refresh_token WHERE device_id = ?", &[device_id.as_str().into()])?;
    Ok(())
}

/// Forgets a device's tokens of generations before `generation`.
pub(crate) fn drop_tokens_before(sql: &impl Sql, device_id: &DeviceId, generation: u64) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM refresh_token WHERE device_id = ? AND generation < ?",
        &[device_id.as_str().into(), generation.into()],
    )?;
    Ok(())
}

/// The devices of a user changed at `pos`.
pub(crate) fn note_list_change(sql: &impl Sql, user_id: &UserId, pos: StreamPos) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO device_list (user_id, pos) VALUES (?, ?) ON CONFLICT DO UPDATE SET pos = excluded.pos",
        &[user_id.as_str().into(), pos.0.into()],
    )?;
    Ok(())
}

/// Users whose devices changed in `span`, or who came or went, and whether a room is shared with them now.
pub(crate) fn list_changes(sql: &impl Sql, span: Span) -> Result<Vec<(OwnedUserId, bool)>, SqlError> {
    let rows = sql.query(
        "SELECT d.user_id, EXISTS (SELECT 1 FROM companion c WHERE c.user_id = d.user_id) FROM device_list d
         WHERE d.pos > ? AND d.pos <= ? ORDER BY d.pos, d.user_id",
        &span.params(),
    )?;
    Ok(rows.iter().filter_map(|row| Some((OwnedUserId::try_from(row.text(0)?).ok()?, row.flag(1)))).collect())
}
