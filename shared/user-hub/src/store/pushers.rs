//! Pushers, and how far those are whose gateways failed.

use ruma::{DeviceId, OwnedDeviceId};
use tern_model::{Millis, RawJson, RoomSeq, StreamPos};
use tern_ports::{Row, Sql, SqlError};
use tern_push::queue::{Outage, Progress};

/// A version of the hub's tables.
pub(crate) const TABLES: &[&str] = &[
    // How many pushers are enabled; from where on events may not have been handed over, and when that was last noted.
    "ALTER TABLE hub ADD COLUMN pushers INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE hub ADD COLUMN push_from INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE hub ADD COLUMN push_at INTEGER NOT NULL DEFAULT 0",
    // As in `tern_push::queue::Progress`; while all goes well it is where the pusher began.
    "CREATE TABLE IF NOT EXISTS pusher (
        app_id TEXT NOT NULL, pushkey TEXT NOT NULL, device_id TEXT NOT NULL, enabled INTEGER NOT NULL, ts INTEGER NOT NULL,
        data TEXT NOT NULL, app_display_name TEXT NOT NULL, device_display_name TEXT NOT NULL, profile_tag TEXT,
        lang TEXT NOT NULL, at_pos INTEGER NOT NULL, at_seq INTEGER NOT NULL, failing_since INTEGER,
        failures INTEGER NOT NULL, next_at INTEGER NOT NULL, from_pos INTEGER NOT NULL, from_seq INTEGER NOT NULL,
        PRIMARY KEY (app_id, pushkey)
    ) STRICT, WITHOUT ROWID",
];

/// A pusher.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PusherRow {
    pub(crate) app_id: String,
    pub(crate) pushkey: String,
    /// The device that set it first.
    pub(crate) device_id: OwnedDeviceId,
    pub(crate) enabled: bool,
    /// When it was set first.
    pub(crate) ts: Millis,
    pub(crate) data: RawJson,
    pub(crate) app_display_name: String,
    pub(crate) device_display_name: String,
    pub(crate) profile_tag: Option<String>,
    pub(crate) lang: String,
    pub(crate) progress: Progress,
}

const COLUMNS: &str = "app_id, pushkey, device_id, enabled, ts, data, app_display_name, device_display_name, profile_tag, \
                       lang, at_pos, at_seq, failing_since, failures, next_at, from_pos, from_seq";

fn pusher(row: &Row) -> Option<PusherRow> {
    Some(PusherRow {
        app_id: row.string(0)?,
        pushkey: row.string(1)?,
        device_id: row.text(2)?.into(),
        enabled: row.flag(3),
        ts: Millis(row.int(4)?),
        data: RawJson::parse(row.string(5)?).ok()?,
        app_display_name: row.string(6)?,
        device_display_name: row.string(7)?,
        profile_tag: row.string(8),
        lang: row.string(9)?,
        progress: Progress { at: (StreamPos(row.int(10)?), RoomSeq(row.int(11)?)), outage: outage(row) },
    })
}

fn outage(row: &Row) -> Option<Outage> {
    Some(Outage {
        since: Millis(row.int(12)?),
        failures: u32::try_from(row.int(13)?).unwrap_or(u32::MAX),
        next_at: Millis(row.int(14)?),
        from: (StreamPos(row.int(15)?), RoomSeq(row.int(16)?)),
    })
}

/// All pushers.
pub(crate) fn all(sql: &impl Sql) -> Result<Vec<PusherRow>, SqlError> {
    let rows = sql.query(&format!("SELECT {COLUMNS} FROM pusher ORDER BY app_id, pushkey"), &[])?;
    Ok(rows.iter().filter_map(pusher).collect())
}

/// Some gateway failed, and what gathered since has not all been sent.
pub(crate) fn any_failing(sql: &impl Sql) -> Result<bool, SqlError> {
    let rows = sql.query("SELECT 1 FROM pusher WHERE enabled = 1 AND failing_since IS NOT NULL LIMIT 1", &[])?;
    Ok(!rows.is_empty())
}

/// Writes a pusher.
pub(crate) fn write(sql: &impl Sql, row: &PusherRow) -> Result<(), SqlError> {
    sql.query(
        &format!(
            "INSERT OR REPLACE INTO pusher ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ),
        &[
            row.app_id.as_str().into(),
            row.pushkey.as_str().into(),
            row.device_id.as_str().into(),
            row.enabled.into(),
            row.ts.0.into(),
            row.data.text().into(),
            row.app_display_name.as_str().into(),
            row.device_display_name.as_str().into(),
            row.profile_tag.clone().into(),
            row.lang.as_str().into(),
            row.progress.at.0.0.into(),
            row.progress.at.1.0.into(),
            row.progress.outage.map(|outage| outage.since.0).into(),
            u64::from(row.progress.outage.map_or(0, |outage| outage.failures)).into(),
            row.progress.outage.map_or(0, |outage| outage.next_at.0).into(),
            row.progress.from().0.0.into(),
            row.progress.from().1.0.into(),
        ],
    )?;
    Ok(())
}

/// Writes how far a pusher is.
pub(crate) fn write_progress(sql: &impl Sql, app_id: &str, pushkey: &str, progress: Progress) -> Result<(), SqlError> {
    sql.query(
        "UPDATE pusher SET at_pos = ?, at_seq = ?, failing_since = ?, failures = ?, next_at = ?, from_pos = ?, from_seq = ?
         WHERE app_id = ? AND pushkey = ?",
        &[
            progress.at.0.0.into(),
            progress.at.1.0.into(),
            progress.outage.map(|outage| outage.since.0).into(),
            u64::from(progress.outage.map_or(0, |outage| outage.failures)).into(),
            progress.outage.map_or(0, |outage| outage.next_at.0).into(),
            progress.from().0.0.into(),
            progress.from().1.0.into(),
            app_id.into(),
            pushkey.into(),
        ],
    )?;
    Ok(())
}

/// Deletes a pusher.
pub(crate) fn delete(sql: &impl Sql, app_id: &str, pushkey: &str) -> Result<(), SqlError> {
    sql.query("DELETE FROM pusher WHERE app_id = ? AND pushkey = ?", &[app_id.into(), pushkey.into()])?;
    Ok(())
}

/// Deletes the pushers of a device.
pub(crate) fn delete_device(sql: &impl Sql, device_id: &DeviceId) -> Result<(), SqlError> {
    sql.query("DELETE FROM pusher WHERE device_id = ?", &[device_id.as_str().into()])?;
    Ok(())
}

/// How many are enabled.
pub(crate) fn count_enabled(sql: &impl Sql) -> Result<u64, SqlError> {
    let rows = sql.query("SELECT COUNT(*) FROM pusher WHERE enabled = 1", &[])?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}
