//! Queues of to-device messages, and the transactions that were queued already.

use ruma::DeviceId;
use tern_model::{Caller, Millis, RawJson, StreamPos};
use tern_ports::{Row, Sql, SqlError};
use tern_sync::ToDeviceMessage;

use super::Span;

pub(crate) fn queue(sql: &impl Sql, device_id: &DeviceId, pos: StreamPos, message: &str) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO to_device (device_id, pos, message) VALUES (?, ?, ?)",
        &[device_id.as_str().into(), pos.0.into(), message.into()],
    )?;
    Ok(())
}

/// Up to `limit` messages of `span`, oldest first.
pub(crate) fn between(
    sql: &impl Sql,
    device_id: &DeviceId,
    span: Span,
    limit: u64,
) -> Result<Vec<ToDeviceMessage>, SqlError> {
    let rows = sql.query(
        "SELECT pos, message FROM to_device WHERE device_id = +? AND pos > ? AND pos <= ? ORDER BY pos LIMIT +?",
        &[device_id.as_str().into(), span.after.0.into(), span.until.0.into(), limit.into()],
    )?;
    let message =
        |row: &Row| Some(ToDeviceMessage { at: StreamPos(row.int(0)?), event: RawJson::parse(row.string(1)?).ok()? });
    Ok(rows.iter().filter_map(message).collect())
}

/// Drops messages up to `through`.
pub(crate) fn drop_through(sql: &impl Sql, device_id: &DeviceId, through: StreamPos) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM to_device WHERE device_id = ? AND pos <= ?",
        &[device_id.as_str().into(), through.0.into()],
    )?;
    Ok(())
}

/// Drops all but the newest `keep` messages of a device.
pub(crate) fn bound(sql: &impl Sql, device_id: &DeviceId, keep: u64) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM to_device WHERE device_id = +? AND pos <=
         (SELECT pos FROM to_device WHERE device_id = +? ORDER BY pos DESC LIMIT 1 OFFSET ?)",
        &[device_id.as_str().into(), device_id.as_str().into(), keep.into()],
    )?;
    Ok(())
}

pub(crate) fn delete_device(sql: &impl Sql, device_id: &DeviceId) -> Result<(), SqlError> {
    sql.query("DELETE FROM to_device WHERE device_id = ?", &[device_id.as_str().into()])?;
    Ok(())
}

/// Remembers a transaction; false when it was known.
pub(crate) fn first_time(sql: &impl Sql, sender: &Caller, txn_id: &str, now: Millis) -> Result<bool, SqlError> {
    let rows = sql.query(
        "INSERT INTO to_device_txn (sender, device_id, txn_id, ts) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
         RETURNING ts",
        &[sender.user_id.as_str().into(), sender.device_id.as_str().into(), txn_id.into(), now.0.into()],
    )?;
    Ok(!rows.is_empty())
}

/// Forgets transactions from before `before`.
pub(crate) fn forget_transactions(sql: &impl Sql, before: Millis) -> Result<(), SqlError> {
    sql.query("DELETE FROM to_device_txn WHERE ts < ?", &[before.0.into()])?;
    Ok(())
}
