//! Queues of to-device messages, and the transactions that were queued already.

use ruma::{DeviceId, UserId};
use tern_model::{Caller, Millis, RawJson, StreamPos};
use tern_object_kit::schema::Step;
use tern_ports::{Row, Sql, SqlError};
use tern_sync::ToDeviceMessage;

use super::Span;

/// Who sent a message: who has how many in a queue is asked of it. Nothing in rows of an earlier build.
pub(crate) const SENDERS: Step = &["ALTER TABLE to_device ADD COLUMN sender TEXT"];

pub(crate) fn queue(
    sql: &impl Sql,
    device_id: &DeviceId,
    pos: StreamPos,
    (sender, message): (&UserId, &str),
) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO to_device (device_id, pos, message, sender) VALUES (?, ?, ?, ?)",
        &[device_id.as_str().into(), pos.0.into(), message.into(), sender.as_str().into()],
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

/// What one sender has in a device's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// `None` for all messages that an earlier build queued.
    pub(crate) sender: Option<String>,
    pub(crate) messages: u64,
    /// How long they are together.
    pub(crate) bytes: u64,
    /// Some room is shared with the sender.
    pub(crate) shared_user: bool,
}

/// Who has how many messages in a device's queue.
pub(crate) fn shares(sql: &impl Sql, device_id: &DeviceId) -> Result<Vec<Share>, SqlError> {
    let rows = sql.query(
        "SELECT sender, count(*), sum(length(CAST(message AS BLOB))),
             EXISTS (SELECT 1 FROM companion WHERE user_id = sender) FROM to_device
         WHERE device_id = +? GROUP BY sender",
        &[device_id.as_str().into()],
    )?;
    let share = |row: &Row| {
        Some(Share { sender: row.string(0), messages: row.int(1)?, bytes: row.int(2)?, shared_user: row.flag(3) })
    };
    Ok(rows.iter().filter_map(share).collect())
}

/// Drops all but the newest `keep` messages of one sender in a device's queue.
pub(crate) fn keep_newest(
    sql: &impl Sql,
    device_id: &DeviceId,
    sender: Option<&str>,
    keep: u64,
) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM to_device WHERE device_id = +?1 AND sender IS +?2 AND pos <=
         (SELECT pos FROM to_device WHERE device_id = +?1 AND sender IS +?2 ORDER BY pos DESC LIMIT 1 OFFSET +?3)",
        &[device_id.as_str().into(), sender.map(str::to_owned).into(), keep.into()],
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
