//! The actor of an object between two devices. It holds one thing for some minutes, and an alarm clears it.
//!
//! | what | file |
//! |---|---|
//! | a device authorization (RFC 8628) | [`device`] |
//! | the message of a rendezvous (MSC4108 of 2024, MSC4388) | [`rendezvous`] |

mod device;
mod rendezvous;

use std::{cell::Cell, rc::Rc};

use serde::{Serialize, de::DeserializeOwned};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    ObjectHost, Sql,
    wire::{DeviceSignInCommand, frame, policy::Absent},
};

use tern_object_kit::schema::{NUMBER, READ_NUMBER, Schema, Step, WRITE_NUMBER};

pub const SCHEMA: Schema = Schema {
    steps: &[FIRST, NUMBERED],
    read: READ_NUMBER,
    write: WRITE_NUMBER,
    signs: &["SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'kept'"],
};

const FIRST: Step = &["CREATE TABLE IF NOT EXISTS kept (
    id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL, expires INTEGER NOT NULL
) STRICT"];

const NUMBERED: Step = &[NUMBER];

/// The actor in a device sign-in object.
pub struct DeviceSignInActor<H> {
    host: Rc<H>,
    /// The table is there.
    ready: Cell<bool>,
    /// When the device last asked in vain.
    asked: Cell<Option<Millis>>,
}

impl<H: ObjectHost> DeviceSignInActor<H> {
    /// An actor on its host.
    pub fn new(host: Rc<H>) -> Self {
        Self { host, ready: Cell::new(false), asked: Cell::new(None) }
    }

    /// Handles one command; answers with a reply frame. A question about what was never here leaves nothing behind.
    pub async fn handle(&self, command: DeviceSignInCommand) -> Vec<u8> {
        if command.policy().absent == Absent::Create
            && let Err(error) = self.prepare()
        {
            return reply::<()>(&Err(error));
        }
        match command {
            DeviceSignInCommand::OpenDeviceGrant(command) => reply(&self.open_device_grant(*command).await),
            DeviceSignInCommand::ReadDeviceGrant(_) => reply(&self.read_device_grant()),
            DeviceSignInCommand::DecideDeviceGrant(command) => reply(&self.decide_device_grant(*command)),
            DeviceSignInCommand::PollDeviceGrant(command) => reply(&self.poll_device_grant(&command)),
            DeviceSignInCommand::OpenRendezvous(command) => reply(&self.open_rendezvous(*command).await),
            DeviceSignInCommand::ReadRendezvous(_) => reply(&self.read_rendezvous()),
            DeviceSignInCommand::UpdateRendezvous(command) => reply(&self.update_rendezvous(*command)),
            DeviceSignInCommand::CloseRendezvous(_) => reply(&self.close_rendezvous()),
        }
    }

    /// Whether nothing here counts any more; the host then deletes everything.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn is_over(&self) -> Result<bool, MatrixError> {
        if let Some((_, expires)) = self.load::<serde_json::Value>()? {
            self.host.set_alarm(expires).await;
            return Ok(false);
        }
        self.ready.set(false);
        Ok(true)
    }

    /// Whether there is a table, and so perhaps something in it.
    fn is_there(&self) -> Result<bool, MatrixError> {
        if !self.ready.get() {
            self.ready.set(SCHEMA.renew(self.host.sql())?);
        }
        Ok(self.ready.get())
    }

    /// Makes the table, for something that is to be kept.
    fn prepare(&self) -> Result<(), MatrixError> {
        if !self.ready.get() {
            SCHEMA.create(self.host.sql())?;
            self.ready.set(true);
        }
        Ok(())
    }

    /// What is kept, if its time is not over.
    fn load<T: DeserializeOwned>(&self) -> Result<Option<(T, Millis)>, MatrixError> {
        if !self.is_there()? {
            return Ok(None);
        }
        let rows = self.host.sql().query("SELECT content, expires FROM kept", &[])?;
        let kept = rows.first().and_then(|row| Some((serde_json::from_str(row.text(0)?).ok()?, Millis(row.int(1)?))));
        Ok(kept.filter(|(_, expires)| self.host.now() < *expires))
    }

    fn save(&self, content: &impl Serialize, expires: Millis) -> Result<(), MatrixError> {
        // Our own types always serialise.
        let content = serde_json::to_string(content).unwrap_or_default();
        self.host.sql().query(
            "INSERT INTO kept (id, content, expires) VALUES (1, ?, ?)
             ON CONFLICT DO UPDATE SET content = excluded.content, expires = excluded.expires",
            &[content.into(), expires.0.into()],
        )?;
        Ok(())
    }
}

fn reply<T: Serialize>(result: &Result<T, MatrixError>) -> Vec<u8> {
    frame::write_reply(result)
}
