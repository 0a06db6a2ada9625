//! Sessions and devices (Client-Server API, "Relationship between access tokens and devices").

use std::collections::BTreeSet;

use ruma::{DeviceId, OwnedDeviceId};
use tern_model::{MatrixError, Millis, news};
use tern_ports::{
    ObjectHost, WaitingPolls,
    wire::{
        Done,
        user::{
            CheckSession, CloseSessions, Device, OpenSession, RenameDevice, Renamed, Session, SessionRef, SessionState,
        },
    },
};

use super::{
    UserActor, encryption, grants, refresh,
    store::{
        connections,
        devices::{self, DeviceRow},
        grants as pages, keys, to_device,
    },
    transaction::Transaction,
};

/// Longest device id, in bytes.
pub(super) const LONGEST_DEVICE_ID: usize = 255;
/// Longest name of a device, in bytes.
const LONGEST_NAME: usize = 1_024;
/// Most devices of a user.
const MOST_DEVICES: usize = 500;
/// How old `last_seen_ts` may get before it is written again: a row per request would be too expensive.
const SEEN_EVERY_MS: u64 = 5 * 60 * 1_000;
/// Letters of a device id made here.
const DEVICE_ID_LETTERS: usize = 10;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Refuses a session that is not open, or whose user may not use any, and notes that the device was seen.
    pub(super) fn admit(&self, session: &SessionRef) -> Result<(), MatrixError> {
        self.admit_open(session)?;
        self.standing.get().admit()
    }

    /// As [`Self::admit`], whatever became of the user.
    fn admit_open(&self, session: &SessionRef) -> Result<(), MatrixError> {
        // There is no session to look for: the service is known by its own token.
        if session.is_of_service() {
            return Ok(());
        }
        let device = self.check(session)?;
        let now = self.host.now();
        if now.since(device.last_seen_ts) > SEEN_EVERY_MS {
            devices::seen(self.host.sql(), &session.device_id, now)?;
        }
        // What came with the first tokens replaced nothing.
        if device.settled.is_none() && bare_id(&session.session_id).1.is_some_and(|generation| generation > 0) {
            devices::settle(self.host.sql(), &session.device_id, now)?;
        }
        Ok(())
    }

    /// Refuses a session that is not open, or an access token that was refreshed.
    pub(super) fn check(&self, session: &SessionRef) -> Result<DeviceRow, MatrixError> {
        let device = devices::load(self.host.sql(), &session.device_id)?;
        let device = device.ok_or_else(|| MatrixError::unknown_token(false))?;
        let (session_id, generation) = bare_id(&session.session_id);
        match &device.session_id {
            // The client has, or can have, a newer one.
            Some(open) if open == session_id && generation.is_some_and(|at| at < device.generation) => {
                Err(MatrixError::unknown_token(true))
            }
            Some(open) if open == session_id => Ok(device),
            // The device signed in again: whoever still has the old token is not that device.
            Some(_) => Err(MatrixError::unknown_token(false)),
            // The server ended the session; the device may sign in again and keep its data.
            None => Err(MatrixError::unknown_token(true)),
        }
    }

    pub(super) fn check_session(&self, command: &CheckSession) -> Result<SessionState, MatrixError> {
        if command.session.is_bare() {
            self.admit_bare(&command.session)?;
        } else {
            self.admit(&command.session)?;
        }
        Ok(SessionState { suspended: self.standing.get().suspended })
    }

    pub(super) fn open_session(&self, command: OpenSession) -> Result<Session, MatrixError> {
        let opening = self.plan_session(command)?;
        self.change(|tx| self.write_session(tx, &opening))?;
        Ok(opening.session)
    }

    /// Makes up what a new session needs, without writing anything.
    pub(super) fn plan_session(&self, command: OpenSession) -> Result<Opening, MatrixError> {
        if command.user_id != self.user_id {
            return Err(MatrixError::internal());
        }
        self.standing.get().admit()?;
        let device_id = match command.device_id {
            Some(device_id) => {
                check_device_id(&device_id)?;
                self.refuse_taken_name(&device_id)?;
                device_id
            }
            None => self.free_device_id()?,
        };
        let session_id = self.random_text::<16>();
        let refresh_token = command.refresh.then(|| self.new_refresh_token(&session_id));
        let session_id = if command.refresh { generation_id(&session_id, 0) } else { session_id };
        let session = Session { device_id, session_id, refresh_token };
        Ok(Opening { session, display_name: command.display_name, ip: command.ip })
    }

    pub(super) fn write_session(&self, tx: &Transaction<'_, H::Sql>, opening: &Opening) -> Result<(), MatrixError> {
        let Session { device_id, session_id, refresh_token } = &opening.session;
        let known = devices::load(tx.sql, device_id)?;
        if known.is_none() {
            self.prepare_account(tx)?;
        }
        let display_name = known.map_or_else(|| opening.display_name.clone(), |known| known.display_name);
        let row = DeviceRow {
            device_id: device_id.clone(),
            session_id: Some(bare_id(session_id).0.to_owned()),
            display_name: display_name.map(shortened),
            last_seen_ts: self.host.now(),
            last_seen_ip: opening.ip.clone(),
            generation: 0,
            settled: None,
        };
        devices::write(tx.sql, &row)?;
        devices::drop_tokens(tx.sql, device_id)?;
        grants::forget_device(tx.sql, device_id)?;
        if let Some(token) = refresh_token {
            devices::add_token(tx.sql, device_id, &refresh::hash(token), 1)?;
        }
        tx.wake_device(device_id, news::LOGOUT);
        Ok(())
    }

    /// Adds a device.
    pub(super) fn add_device(&self, tx: &Transaction<'_, H::Sql>, row: &DeviceRow) -> Result<(), MatrixError> {
        self.prepare_account(tx)?;
        Ok(devices::write(tx.sql, row)?)
    }

    /// A device is about to be added.
    fn prepare_account(&self, tx: &Transaction<'_, H::Sql>) -> Result<(), MatrixError> {
        if devices::all(tx.sql)?.len() >= MOST_DEVICES {
            return Err(MatrixError::new(403, "M_RESOURCE_LIMIT_EXCEEDED", "Too many devices"));
        }
        tx.open();
        self.note_own_devices(tx)
    }

    pub(super) fn close_sessions(&self, command: &CloseSessions) -> Result<Done, MatrixError> {
        if let Some(session) = &command.session {
            if session.is_bare() {
                return self.close_bare(session);
            }
            // Also somebody who is locked out may sign out.
            self.admit_open(session)?;
        }
        let asked: Option<BTreeSet<&OwnedDeviceId>> = command.devices.as_ref().map(|devices| devices.iter().collect());
        self.change(|tx| {
            let devices = devices::all(tx.sql)?;
            let closing = devices.iter().map(|device| &device.device_id).filter(|device_id| {
                asked.as_ref().is_none_or(|asked| asked.contains(device_id))
                    && command.except.as_ref() != Some(*device_id)
            });
            let closing: Vec<_> = closing.collect();
            let mut known_to_others = false;
            for device_id in &closing {
                known_to_others |= self.remove_device(tx, device_id)?;
            }
            match (known_to_others, closing.is_empty()) {
                (true, _) => self.devices_changed(tx)?,
                (false, false) => self.note_own_devices(tx)?,
                (false, true) => {}
            }
            if asked.is_none() {
                // Whoever ends all sessions, or changes the password, means the browsers too.
                pages::drop_pages(tx.sql)?;
            }
            Ok(Done {})
        })
    }

    /// Removes a device with everything that is its own, and ends its polls. Whether it had published keys.
    pub(super) fn remove_device(
        &self,
        tx: &Transaction<'_, H::Sql>,
        device_id: &DeviceId,
    ) -> Result<bool, MatrixError> {
        devices::delete(tx.sql, device_id)?;
        devices::drop_tokens(tx.sql, device_id)?;
        grants::forget_device(tx.sql, device_id)?;
        connections::delete_device(tx.sql, device_id)?;
        self.drop_pushers_of(tx, device_id)?;
        to_device::delete_device(tx.sql, device_id)?;
        self.drop_account_data_of(tx, device_id)?;
        tx.wake_device(device_id, news::LOGOUT);
        encryption::remove_keys(tx, self.user_id.as_str(), device_id)
    }

    pub(super) fn list_devices(&self) -> Result<Vec<Device>, MatrixError> {
        let devices = devices::all(self.host.sql())?;
        Ok(devices.into_iter().map(Device::from).collect())
    }

    pub(super) fn rename_device(&self, command: RenameDevice) -> Result<Renamed, MatrixError> {
        if command.display_name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
            return Err(MatrixError::too_large("The device's name is too long"));
        }
        self.change(|tx| {
            let Some(mut row) = devices::load(tx.sql, &command.device_id)? else {
                return self.make_device(tx, command);
            };
            let Some(name) = command.display_name else { return Ok(Renamed::default()) };
            row.display_name = Some(name);
            devices::write(tx.sql, &row)?;
            if keys::device(tx.sql, &row.device_id)?.is_some() {
                // The name is shown with the keys.
                self.public_keys_changed(tx)?;
            }
            self.note_own_devices(tx)?;
            Ok(Renamed::default())
        })
    }

    /// An application service makes devices of its users, without a session (Application Service API, "Device management").
    fn make_device(&self, tx: &Transaction<'_, H::Sql>, command: RenameDevice) -> Result<Renamed, MatrixError> {
        let RenameDevice { session, device_id, display_name } = command;
        if !session.is_of_service() {
            return Err(MatrixError::not_found("Unknown device"));
        }
        check_device_id(&device_id)?;
        self.refuse_taken_name(&device_id)?;
        let last_seen_ts = self.host.now();
        let row = DeviceRow {
            device_id,
            session_id: None,
            display_name,
            last_seen_ts,
            last_seen_ip: None,
            generation: 0,
            settled: None,
        };
        self.add_device(tx, &row)?;
        Ok(Renamed { created: true })
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

fn check_device_id(device_id: &DeviceId) -> Result<(), MatrixError> {
    match device_id.as_str().len() {
        1..=LONGEST_DEVICE_ID => Ok(()),
        _ => Err(MatrixError::invalid_param("The device id is empty or too long")),
    }
}

/// A session that is about to be opened.
pub(super) struct Opening {
    pub(super) session: Session,
    display_name: Option<String>,
    ip: Option<String>,
}

impl From<DeviceRow> for Device {
    fn from(row: DeviceRow) -> Self {
        Self {
            device_id: row.device_id,
            display_name: row.display_name,
            last_seen_ts: Some(row.last_seen_ts).filter(|at| *at > Millis(0)),
            last_seen_ip: row.last_seen_ip,
        }
    }
}

/// A session that refreshes says in its tokens which generation they are of, so that older ones can be refused.
pub(super) fn generation_id(session_id: &str, generation: u64) -> String {
    format!("{session_id}~{generation}")
}

/// The session's own id, and the generation of a token that names it.
pub(super) fn bare_id(session_id: &str) -> (&str, Option<u64>) {
    match session_id.split_once('~') {
        Some((session_id, generation)) => (session_id, generation.parse().ok()),
        None => (session_id, None),
    }
}

/// A name that a client gave at sign-in is shortened, since there is nobody to complain to.
fn shortened(mut name: String) -> String {
    let end = (0..=LONGEST_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name.truncate(end);
    name
}
