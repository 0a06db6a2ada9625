//! The hub's one row.

use tern_model::{Millis, StreamPos};
use tern_ports::{Sql, SqlError};

/// The stream's position, the newest position of each kind of news, and the constructor's count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hub {
    pub(crate) constructed: u64,
    pub(crate) position: StreamPos,
    pub(crate) rooms: StreamPos,
    pub(crate) to_device: StreamPos,
    pub(crate) e2ee: StreamPos,
    pub(crate) account_data: StreamPos,
    pub(crate) receipts: StreamPos,
    /// Zero until a client of the user's knows of subscriptions.
    pub(crate) threads: StreamPos,
    /// Zero while there is no sticky event.
    pub(crate) sticky: StreamPos,
    pub(crate) relisted: StreamPos,
    /// A session was opened once: there is such a user.
    pub(crate) opened: bool,
    /// How many pushers are enabled.
    pub(crate) pushers: u64,
    /// From here on events may not have been handed over to them; zero when all are.
    pub(crate) push_from: StreamPos,
    /// When an event for them came last.
    pub(crate) push_at: Millis,
}

pub(crate) fn read(sql: &impl Sql) -> Result<Hub, SqlError> {
    let rows = sql.query(
        "SELECT constructed, position, rooms, to_device, e2ee, account_data, receipts, relisted, opened,
         threads, sticky, pushers, push_from, push_at FROM hub",
        &[],
    )?;
    let row = rows.into_iter().next().unwrap_or_default();
    let at = |index| StreamPos(row.int(index).unwrap_or(0));
    Ok(Hub {
        constructed: row.int(0).unwrap_or(0),
        position: at(1),
        rooms: at(2),
        to_device: at(3),
        e2ee: at(4),
        account_data: at(5),
        receipts: at(6),
        relisted: at(7),
        opened: row.flag(8),
        threads: at(9),
        sticky: at(10),
        pushers: row.int(11).unwrap_or(0),
        push_from: at(12),
        push_at: Millis(row.int(13).unwrap_or(0)),
    })
}

/// Writes the row, with the rooms that may be ahead of theirs.
pub(crate) fn write(sql: &impl Sql, hub: &Hub, recent: Option<String>) -> Result<(), SqlError> {
    let params = [
        hub.constructed.into(),
        hub.position.0.into(),
        hub.rooms.0.into(),
        hub.to_device.0.into(),
        hub.e2ee.0.into(),
        hub.account_data.0.into(),
        hub.receipts.0.into(),
        hub.relisted.0.into(),
        hub.opened.into(),
        hub.threads.0.into(),
        hub.sticky.0.into(),
        hub.pushers.into(),
        hub.push_from.0.into(),
        hub.push_at.0.into(),
        recent.into(),
    ];
    sql.query(
        "UPDATE hub SET constructed = ?, position = ?, rooms = ?, to_device = ?, e2ee = ?, account_data = ?,
         receipts = ?, relisted = ?, opened = ?, threads = ?, sticky = ?, pushers = ?, push_from = ?, push_at = ?,
         recent = ?",
        &params,
    )?;
    Ok(())
}
