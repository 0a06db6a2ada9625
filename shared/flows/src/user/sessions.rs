//! Sessions and devices (Client-Server API, "Relationship between access tokens and devices").

use std::collections::BTreeSet;

use ruma::{DeviceId, OwnedDeviceId};
use tern_model::{MatrixError, Millis, news};
use tern_ports::{
    ObjectHost, Parking,
    wire::{
        Done,
        user::{
            CheckSession, CloseSessions, Device, ListDevices, OpenSession, RenameDevice, Session, SessionRef,
            SessionState,
        },
    },
};

use super::{
    UserActor, encryption, refresh,
    store::{
        connections,
        devices::{self, DeviceRow},
        to_device,
    },
    turn::Turn,
};

/// Longest device id, in bytes.
pub(super) const LONGEST_DEVICE_ID: usize = 255;
/// Longest name of a device, in bytes.
const LONGEST_NAME: usize = 1_024;
/// Most devices of a user.
const MOST_DEVICES: usize = 500;
/// How old `last_seen_ts` may get before it is written again: a row per request would be too dear.
const SEEN_EVERY_MS: u64 = 5 * 60 * 1_000;
/// Letters of a device id made here.
const DEVICE_ID_LETTERS: usize = 10;

impl<H: ObjectHost + Parking> UserActor<H> {
    /// Refuses a session that is not open, and notes that the device was seen.
    pub(super) fn admit(&self, session: &SessionRef) -> Result<(), MatrixError> {
        let sql = self.host.sql();
        let device = devices::load(sql, &session.device_id)?.ok_or_else(|| MatrixError::unknown_token(false))?;
        match device.session_id {
            Some(open) if open == session.session_id => {}
            // The device signed in again: whoever still has the old token is not that device.
            Some(_) => return Err(MatrixError::unknown_token(false)),
            // The server ended the session; the device may sign in again and keep its data.
            None => return Err(MatrixError::unknown_token(true)),
        }
        let now = self.host.now();
        if now.since(device.last_seen_ts) > SEEN_EVERY_MS {
            devices::seen(sql, &session.device_id, now)?;
        }
        Ok(())
    }

    pub(super) fn check_session(&self, command: &CheckSession) -> Result<SessionState, MatrixError> {
        self.admit(&command.session)?;
        Ok(SessionState {})
    }

    pub(super) fn open_session(&self, command: OpenSession) -> Result<Session, MatrixError> {
        if command.user_id != self.user_id {
            return Err(MatrixError::internal());
        }
        let session_id = self.random_text::<16>();
        let refresh_token = command.refresh.then(|| self.new_refresh_token());
        let device_id = match command.device_id {
            Some(device_id) if device_id.as_str().is_empty() || device_id.as_str().len() > LONGEST_DEVICE_ID => {
                return Err(MatrixError::invalid_param("The device id is empty or too long"));
            }
            Some(device_id) => device_id,
            None => self.free_device_id()?,
        };
        self.change(|turn| {
            let known = devices::load(turn.sql, &device_id)?;
            if known.is_none() {
                self.welcome(turn)?;
            }
            let row = DeviceRow {
                device_id: device_id.clone(),
                session_id: Some(session_id.clone()),
                display_name: known.map_or(command.display_name, |known| known.display_name).map(shortened),
                last_seen_ts: self.host.now(),
                last_seen_ip: command.ip,
                generation: 0,
            };
            devices::write(turn.sql, &row)?;
            devices::drop_tokens(turn.sql, &device_id)?;
            if let Some(token) = &refresh_token {
                devices::add_token(turn.sql, &device_id, &refresh::hash(token), 1)?;
            }
            turn.wake_device(&device_id, news::LOGOUT);
            Ok(())
        })?;
        Ok(Session { device_id, session_id, refresh_token })
    }

    /// Adds a device.
    pub(super) fn add_device(&self, turn: &Turn<'_, H::Sql>, row: &DeviceRow) -> Result<(), MatrixError> {
        self.welcome(turn)?;
        Ok(devices::write(turn.sql, row)?)
    }

    /// A device is about to be added.
    fn welcome(&self, turn: &Turn<'_, H::Sql>) -> Result<(), MatrixError> {
        if devices::all(turn.sql)?.len() >= MOST_DEVICES {
            return Err(MatrixError::new(403, "M_RESOURCE_LIMIT_EXCEEDED", "Too many devices"));
        }
        turn.open();
        self.note_own_devices(turn)
    }

    pub(super) fn close_sessions(&self, command: &CloseSessions) -> Result<Done, MatrixError> {
        if let Some(session) = &command.session {
            self.admit(session)?;
        }
        let asked: Option<BTreeSet<&OwnedDeviceId>> = command.devices.as_ref().map(|devices| devices.iter().collect());
        self.change(|turn| {
            let devices = devices::all(turn.sql)?;
            let closing = devices.iter().map(|device| &device.device_id).filter(|device_id| {
                asked.as_ref().is_none_or(|asked| asked.contains(device_id))
                    && command.except.as_ref() != Some(*device_id)
            });
            let closing: Vec<_> = closing.collect();
            let mut known_to_others = false;
            for device_id in &closing {
                known_to_others |= self.remove_device(turn, device_id)?;
            }
            match (known_to_others, closing.is_empty()) {
                (true, _) => self.devices_changed(turn)?,
                (false, false) => self.note_own_devices(turn)?,
                (false, true) => {}
            }
            Ok(Done {})
        })
    }

    /// Removes a device with everything that is its own, and ends its polls. Whether it had published keys.
    pub(super) fn remove_device(&self, turn: &Turn<'_, H::Sql>, device_id: &DeviceId) -> Result<bool, MatrixError> {
        devices::delete(turn.sql, device_id)?;
        devices::drop_tokens(turn.sql, device_id)?;
        connections::delete_device(turn.sql, device_id)?;
        to_device::delete_device(turn.sql, device_id)?;
        turn.wake_device(device_id, news::LOGOUT);
        encryption::remove_keys(turn, self.user_id.as_str(), device_id)
    }

    pub(super) fn list_devices(&self, command: &ListDevices) -> Result<Vec<Device>, MatrixError> {
        self.admit(&command.session)?;
        let devices = devices::all(self.host.sql())?;
        let device = |row: DeviceRow| Device {
            device_id: row.device_id,
            display_name: row.display_name,
            last_seen_ts: Some(row.last_seen_ts).filter(|at| *at > Millis(0)),
            last_seen_ip: row.last_seen_ip,
        };
        Ok(devices.into_iter().map(device).collect())
    }

    pub(super) fn rename_device(&self, command: RenameDevice) -> Result<Done, MatrixError> {
        self.admit(&command.session)?;
        self.change(|turn| {
            let row = devices::load(turn.sql, &command.device_id)?;
            let mut row = row.ok_or_else(|| MatrixError::not_found("Unknown device"))?;
            let Some(name) = command.display_name else { return Ok(Done {}) };
            if name.len() > LONGEST_NAME {
                return Err(MatrixError::too_large("The device's name is too long"));
            }
            row.display_name = Some(name);
            devices::write(turn.sql, &row)?;
            self.note_own_devices(turn)?;
            Ok(Done {})
        })
    }

    fn free_device_id(&self) -> Result<OwnedDeviceId, MatrixError> {
        loop {
            let letters = self.random_letters();
            if devices::load(self.host.sql(), &letters)?.is_none() {
                return Ok(letters);
            }
        }
    }

    fn random_letters(&self) -> OwnedDeviceId {
        let mut bytes = [0; DEVICE_ID_LETTERS];
        self.host.fill(&mut bytes);
        let letters: String = bytes.iter().map(|byte| char::from(b'A' + byte % 26)).collect();
        letters.into()
    }
}

/// A name that a client gave at sign-in is shortened, since there is nobody to complain to.
fn shortened(mut name: String) -> String {
    let end = (0..=LONGEST_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name.truncate(end);
    name
}
