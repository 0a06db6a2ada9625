//! Public keys of the user and of the user's devices, and signatures over other users' keys.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{DeviceId, OwnedDeviceId, UserId};
use tern_keys::{OneTimeKeys, Signature, Signed, Usage};
use tern_model::RawJson;
use tern_ports::{
    Row, Sql, SqlError, Value,
    wire::keys::{Dehydrated, OwnSignature},
};

/// Tables of the second version.
pub(crate) const TABLES: &[&str] = &[
    // Identity keys as they are given out, without `unsigned`.
    "CREATE TABLE IF NOT EXISTS device_key (device_id TEXT PRIMARY KEY, keys TEXT NOT NULL) STRICT, WITHOUT ROWID",
    // All one-time keys of a device and algorithm in one row: an upload writes one row, and so does a claim.
    "CREATE TABLE IF NOT EXISTS one_time_key (
        device_id TEXT NOT NULL, algorithm TEXT NOT NULL, count INTEGER NOT NULL, keys TEXT NOT NULL,
        PRIMARY KEY (device_id, algorithm)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS fallback_key (
        device_id TEXT NOT NULL, algorithm TEXT NOT NULL, key_id TEXT NOT NULL, key TEXT NOT NULL,
        used INTEGER NOT NULL, PRIMARY KEY (device_id, algorithm)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS cross_signing_key (usage TEXT PRIMARY KEY, key TEXT NOT NULL) STRICT, WITHOUT ROWID",
    // At most one row.
    "CREATE TABLE IF NOT EXISTS dehydrated (
        id INTEGER PRIMARY KEY CHECK (id = 1), device_id TEXT NOT NULL, data TEXT NOT NULL
    ) STRICT",
    // The user's signatures over master keys of others. Those over own keys are in the keys.
    "CREATE TABLE IF NOT EXISTS signature (
        user_id TEXT NOT NULL, key TEXT NOT NULL, signer TEXT NOT NULL, signature TEXT NOT NULL,
        PRIMARY KEY (user_id, key, signer)
    ) STRICT, WITHOUT ROWID",
    // With whom the user shares which room.
    "CREATE TABLE IF NOT EXISTS companion (
        user_id TEXT NOT NULL, room_id TEXT NOT NULL, PRIMARY KEY (user_id, room_id)
    ) STRICT, WITHOUT ROWID",
    // At most one row: how far a change of the user's devices was announced, in order of user id.
    "CREATE TABLE IF NOT EXISTS announcement (
        id INTEGER PRIMARY KEY CHECK (id = 1), change INTEGER NOT NULL, after_user TEXT NOT NULL,
        attempt INTEGER NOT NULL, failed INTEGER NOT NULL
    ) STRICT",
];

/// A fallback key.
pub(crate) struct FallbackRow {
    pub(crate) key_id: String,
    pub(crate) key: RawJson,
    pub(crate) used: bool,
}

fn json(row: &Row, column: usize) -> Option<RawJson> {
    RawJson::parse(row.string(column)?).ok()
}

pub(crate) fn device(sql: &impl Sql, device_id: &DeviceId) -> Result<Option<Signed>, SqlError> {
    let rows = sql.query("SELECT keys FROM device_key WHERE device_id = ?", &[device_id.as_str().into()])?;
    Ok(rows.first().and_then(|row| Signed::parse(&json(row, 0)?).ok()))
}

/// Identity keys with the name of the device: of `devices`, or of all when it is empty.
/// Whether a device has uploaded keys of any kind.
pub(crate) fn has_any(sql: &impl Sql, device_id: &DeviceId) -> Result<bool, SqlError> {
    let id = Value::from(device_id.as_str());
    let rows = sql.query(
        "SELECT EXISTS (SELECT 1 FROM device_key WHERE device_id = ?)
             OR EXISTS (SELECT 1 FROM one_time_key WHERE device_id = ?)
             OR EXISTS (SELECT 1 FROM fallback_key WHERE device_id = ?)",
        &[id.clone(), id.clone(), id],
    )?;
    Ok(rows.first().is_some_and(|row| row.flag(0)))
}

pub(crate) fn devices(
    sql: &impl Sql,
    devices: &[OwnedDeviceId],
) -> Result<Vec<(OwnedDeviceId, RawJson, Option<String>)>, SqlError> {
    let rows = sql.query(
        "SELECT k.device_id, k.keys, d.display_name FROM device_key k LEFT JOIN device d ON d.device_id = k.device_id",
        &[],
    )?;
    let entry = |row: &Row| Some((OwnedDeviceId::from(row.text(0)?), json(row, 1)?, row.string(2)));
    let devices: BTreeSet<_> = devices.iter().collect();
    let wanted = |(id, ..): &(OwnedDeviceId, _, _)| devices.is_empty() || devices.contains(id);
    Ok(rows.iter().filter_map(entry).filter(wanted).collect())
}

/// How long all identity keys are together.
pub(crate) fn bytes_of_devices(sql: &impl Sql) -> Result<u64, SqlError> {
    let rows = sql.query("SELECT sum(length(CAST(keys AS BLOB))) FROM device_key", &[])?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}

pub(crate) fn set_device(sql: &impl Sql, device_id: &DeviceId, keys: &Signed) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO device_key (device_id, keys) VALUES (?, ?) ON CONFLICT DO UPDATE SET keys = excluded.keys",
        &[device_id.as_str().into(), keys.to_json().text().into()],
    )?;
    Ok(())
}

/// Removes all keys of a device; false when it had no identity keys.
pub(crate) fn delete_device(sql: &impl Sql, device_id: &DeviceId) -> Result<bool, SqlError> {
    let id = [Value::from(device_id.as_str())];
    sql.query("DELETE FROM one_time_key WHERE device_id = ?", &id)?;
    sql.query("DELETE FROM fallback_key WHERE device_id = ?", &id)?;
    sql.query("DELETE FROM dehydrated WHERE device_id = ?", &id)?;
    let gone = sql.query("DELETE FROM device_key WHERE device_id = ? RETURNING 1", &id)?;
    Ok(!gone.is_empty())
}

/// The dehydrated device.
pub(crate) fn dehydrated(sql: &impl Sql) -> Result<Option<Dehydrated>, SqlError> {
    let rows = sql.query("SELECT device_id, data FROM dehydrated", &[])?;
    let device = |row: &Row| Some(Dehydrated { device_id: row.text(0)?.into(), device_data: json(row, 1)? });
    Ok(rows.first().and_then(device))
}

pub(crate) fn set_dehydrated(sql: &impl Sql, device_id: &DeviceId, data: &RawJson) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO dehydrated (id, device_id, data) VALUES (1, ?, ?)",
        &[device_id.as_str().into(), data.text().into()],
    )?;
    Ok(())
}

pub(crate) fn one_time(sql: &impl Sql, device_id: &DeviceId, algorithm: &str) -> Result<OneTimeKeys, SqlError> {
    let rows = sql.query(
        "SELECT keys FROM one_time_key WHERE device_id = ? AND algorithm = ?",
        &[device_id.as_str().into(), algorithm.into()],
    )?;
    let Some(text) = rows.first().and_then(|row| row.text(0)) else { return Ok(OneTimeKeys::default()) };
    // A row that cannot be read must not look like one without keys given out.
    serde_json::from_str(text).map_err(|_| SqlError("unreadable one-time keys".to_owned()))
}

pub(crate) fn set_one_time(
    sql: &impl Sql,
    device_id: &DeviceId,
    algorithm: &str,
    keys: &OneTimeKeys,
) -> Result<(), SqlError> {
    let text = serde_json::to_string(keys).map_err(|error| SqlError(error.to_string()))?;
    sql.query(
        "INSERT INTO one_time_key (device_id, algorithm, count, keys) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET count = excluded.count, keys = excluded.keys",
        &[device_id.as_str().into(), algorithm.into(), keys.count().into(), text.into()],
    )?;
    Ok(())
}

/// How many one-time keys wait, by algorithm; algorithms without any are left out.
pub(crate) fn counts(sql: &impl Sql, device_id: &DeviceId) -> Result<BTreeMap<String, u64>, SqlError> {
    let rows = sql.query(
        "SELECT algorithm, count FROM one_time_key WHERE device_id = ? AND count > 0",
        &[device_id.as_str().into()],
    )?;
    Ok(rows.iter().filter_map(|row| Some((row.string(0)?, row.int(1)?))).collect())
}

pub(crate) fn fallback(sql: &impl Sql, device_id: &DeviceId, algorithm: &str) -> Result<Option<FallbackRow>, SqlError> {
    let rows = sql.query(
        "SELECT key_id, key, used FROM fallback_key WHERE device_id = ? AND algorithm = ?",
        &[device_id.as_str().into(), algorithm.into()],
    )?;
    let fallback = |row: &Row| Some(FallbackRow { key_id: row.string(0)?, key: json(row, 1)?, used: row.flag(2) });
    Ok(rows.first().and_then(fallback))
}

pub(crate) fn set_fallback(
    sql: &impl Sql,
    device_id: &DeviceId,
    algorithm: &str,
    row: &FallbackRow,
) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO fallback_key (device_id, algorithm, key_id, key, used) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET key_id = excluded.key_id, key = excluded.key, used = excluded.used",
        &[
            device_id.as_str().into(),
            algorithm.into(),
            row.key_id.as_str().into(),
            row.key.text().into(),
            row.used.into(),
        ],
    )?;
    Ok(())
}

/// Algorithms with a fallback key that was not given out yet.
pub(crate) fn unused_fallbacks(sql: &impl Sql, device_id: &DeviceId) -> Result<Vec<String>, SqlError> {
    let rows = sql.query(
        "SELECT algorithm FROM fallback_key WHERE device_id = +? AND used = 0 ORDER BY algorithm",
        &[device_id.as_str().into()],
    )?;
    Ok(rows.iter().filter_map(|row| row.string(0)).collect())
}

/// A cross-signing key as it is given out.
pub(crate) fn cross_signing(sql: &impl Sql, usage: Usage) -> Result<Option<RawJson>, SqlError> {
    let rows = sql.query("SELECT key FROM cross_signing_key WHERE usage = ?", &[usage.name().into()])?;
    Ok(rows.first().and_then(|row| json(row, 0)))
}

pub(crate) fn set_cross_signing(sql: &impl Sql, usage: Usage, key: Option<&Signed>) -> Result<(), SqlError> {
    match key {
        Some(key) => sql.query(
            "INSERT INTO cross_signing_key (usage, key) VALUES (?, ?) ON CONFLICT DO UPDATE SET key = excluded.key",
            &[usage.name().into(), key.to_json().text().into()],
        )?,
        None => sql.query("DELETE FROM cross_signing_key WHERE usage = ?", &[usage.name().into()])?,
    };
    Ok(())
}

/// Removes the cross-signing keys and what they signed of others; false when there were none.
pub(crate) fn drop_identity(sql: &impl Sql) -> Result<bool, SqlError> {
    sql.query("DELETE FROM signature", &[])?;
    let gone = sql.query("DELETE FROM cross_signing_key RETURNING 1", &[])?;
    Ok(!gone.is_empty())
}

/// The user's signatures over master keys of `users`.
pub(crate) fn signatures(sql: &impl Sql, users: &str) -> Result<Vec<OwnSignature>, SqlError> {
    let rows = sql.query(
        "SELECT user_id, key, signer, signature FROM signature
         WHERE user_id IN (SELECT value FROM json_each(?)) ORDER BY user_id",
        &[users.into()],
    )?;
    let signature = |row: &Row| {
        let user_id = row.text(0)?.try_into().ok()?;
        Some(OwnSignature { user_id, key: row.string(1)?, signer: row.string(2)?, signature: row.string(3)? })
    };
    Ok(rows.iter().filter_map(signature).collect())
}

pub(crate) fn add_signature(
    sql: &impl Sql,
    user_id: &UserId,
    key: &str,
    signature: &Signature,
) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO signature (user_id, key, signer, signature) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET signature = excluded.signature",
        &[user_id.as_str().into(), key.into(), signature.signer.as_str().into(), signature.signature.as_str().into()],
    )?;
    Ok(())
}

/// Forgets what a key signed of other users' keys.
pub(crate) fn drop_signer(sql: &impl Sql, signer: &str) -> Result<(), SqlError> {
    sql.query("DELETE FROM signature WHERE signer = ?", &[signer.into()])?;
    Ok(())
}
