//! The hub's one row.

use tern_model::StreamPos;
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
}

pub(crate) fn read(sql: &impl Sql) -> Result<Hub, SqlError> {
    let rows = sql.query(
        "SELECT constructed, position, rooms, to_device, e2ee, account_data, receipts, relisted, opened,
         threads, sticky FROM hub",
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
    })
}

pub(crate) fn write(sql: &impl Sql, hub: &Hub) -> Result<(), SqlError> {
    let positions = [hub.position, hub.rooms, hub.to_device, hub.e2ee, hub.account_data, hub.receipts, hub.relisted];
    let mut params = vec![hub.constructed.into()];
    params.extend(positions.map(|at| at.0.into()));
    params.push(hub.opened.into());
    params.extend([hub.threads, hub.sticky].map(|at| at.0.into()));
    sql.query(
        "UPDATE hub SET constructed = ?, position = ?, rooms = ?, to_device = ?, e2ee = ?, account_data = ?,
         receipts = ?, relisted = ?, opened = ?, threads = ?, sticky = ?",
        &params,
    )?;
    Ok(())
}
