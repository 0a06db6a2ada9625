//! How the user stands with the administrators (Client-Server API, "Account moderation"). The registry knows it, too; what
//! counts is here, where every session is looked at.

use tern_model::{MatrixError, news};
use tern_ports::{
    ObjectHost, Sql, SqlError, WaitingPolls,
    wire::{
        Done,
        accounts::{Retire, Retired, SetStanding},
        user::Device,
    },
};

use super::{
    UserActor,
    store::{devices, grants, keys},
};

/// The table.
pub(super) const TABLES: &[&str] = &["CREATE TABLE IF NOT EXISTS standing (
        id INTEGER PRIMARY KEY CHECK (id = 1), locked INTEGER NOT NULL, suspended INTEGER NOT NULL,
        retired INTEGER NOT NULL
    ) STRICT"];

/// How the user stands; without a row, well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Nothing but signing out.
    pub(super) locked: bool,
    /// Reading, but hardly any writing.
    pub(super) suspended: bool,
    /// Deactivated, for ever.
    pub(super) retired: bool,
}

impl Standing {
    /// Refuses a session of somebody who may not use any.
    pub(super) fn admit(self) -> Result<(), MatrixError> {
        if self.retired {
            return Err(MatrixError::new(403, "M_USER_DEACTIVATED", "This account has been deactivated"));
        }
        if self.locked {
            let locked = MatrixError::new(401, "M_USER_LOCKED", "This account has been locked");
            return Err(MatrixError { soft_logout: Some(true), ..locked });
        }
        Ok(())
    }

    /// Refuses what a suspended user may not do.
    pub(super) fn admit_writing(self) -> Result<(), MatrixError> {
        if self.suspended { Err(MatrixError::user_suspended()) } else { Ok(()) }
    }
}

pub(super) fn load(sql: &impl Sql) -> Result<Standing, SqlError> {
    let rows = sql.query("SELECT locked, suspended, retired FROM standing", &[])?;
    let Some(row) = rows.first() else { return Ok(Standing::default()) };
    Ok(Standing { locked: row.flag(0), suspended: row.flag(1), retired: row.flag(2) })
}

fn write(sql: &impl Sql, standing: Standing) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO standing (id, locked, suspended, retired) VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE SET
         locked = excluded.locked, suspended = excluded.suspended, retired = excluded.retired",
        &[standing.locked.into(), standing.suspended.into(), standing.retired.into()],
    )?;
    Ok(())
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn set_standing(&self, command: SetStanding) -> Result<Done, MatrixError> {
        let old = self.standing.get();
        let standing = Standing {
            locked: command.locked.unwrap_or(old.locked),
            suspended: command.suspended.unwrap_or(old.suspended),
            ..old
        };
        self.change(|tx| Ok(write(tx.sql, standing)?))?;
        self.standing.set(standing);
        // Waiting polls ask again, and hear of it.
        self.announce(None, news::LOGOUT);
        Ok(Done {})
    }

    pub(super) fn retire(&self, command: Retire) -> Result<Retired, MatrixError> {
        let standing = Standing { retired: true, ..self.standing.get() };
        let rooms = self.change(|tx| {
            write(tx.sql, standing)?;
            let mut known_to_others = keys::drop_identity(tx.sql)?;
            grants::drop_pages(tx.sql)?;
            for device in devices::all(tx.sql)? {
                known_to_others |= self.remove_device(tx, &device.device_id)?;
            }
            if known_to_others {
                self.devices_changed(tx)?;
            }
            if command.erase {
                for table in ["profile", "account_data", "filter"] {
                    tx.sql.query(&format!("DELETE FROM {table}"), &[])?;
                }
            }
            let rows = tx.sql.query(
                "SELECT room_id FROM room WHERE membership IN ('join', 'invite', 'knock') AND forgotten = 0
                 ORDER BY room_id",
                &[],
            )?;
            Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
        })?;
        self.standing.set(standing);
        Ok(rooms)
    }

    pub(super) fn list_sessions(&self) -> Result<Vec<Device>, MatrixError> {
        Ok(devices::all(self.host.sql())?.into_iter().map(Device::from).collect())
    }
}
