//! The actor of a one-time store: what must be exact and does not last. Its name says what it guards.
//!
//! | name | guards | file |
//! |---|---|---|
//! | `limit/{class}/{subject}` | how often somebody may try | [`permits`] |
//! | `uia/{session}` | the stages of interactive authentication that were completed | [`entries`] |
//! | `login/{digest}` | whom a login token signs in, once | [`entries`] |
//! | `upstream/{digest}` | an attempt to sign in with another provider, once | [`entries`] |
//! | `mail/{proof}` | whether a mail address was proven | [`proof`] |
//!
//! A one-time store forgets everything once nothing in it counts any more, so that strangers cannot make objects that
//! stay.

mod entries;
mod permits;
mod proof;

use std::{cell::Cell, rc::Rc};

use serde::Serialize;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    ObjectHost, SqlError,
    wire::{OneTimeStoreCommand, frame, policy::Absent},
};

use tern_object_kit::schema::{NUMBER, READ_NUMBER, Schema, Step, WRITE_NUMBER};

pub const SCHEMA: Schema = Schema {
    steps: &[FIRST, NUMBERED, PROOFS, permits::KNOWN],
    read: READ_NUMBER,
    write: WRITE_NUMBER,
    signs: &["SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'bucket'"],
};

const FIRST: Step = &[
    // `full_at` as in `tern_auth::limit::Bucket`; at most one row.
    "CREATE TABLE IF NOT EXISTS bucket (id INTEGER PRIMARY KEY CHECK (id = 1), full_at INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS note (
        name TEXT PRIMARY KEY, value TEXT NOT NULL, until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
];

const NUMBERED: Step = &[NUMBER];

// At most one row. `secret` and `token` as in `OpenProof`.
const PROOFS: Step = &["CREATE TABLE IF NOT EXISTS proof (
        id INTEGER PRIMARY KEY CHECK (id = 1), address TEXT NOT NULL, secret TEXT NOT NULL, attempt INTEGER NOT NULL,
        token TEXT NOT NULL, confirmed INTEGER, until INTEGER NOT NULL
    ) STRICT"];

/// The actor in a one-time store.
pub struct OneTimeStoreActor<H> {
    host: Rc<H>,
    /// The tables are there.
    ready: Cell<bool>,
    /// When the object was last asked to look whether it may go.
    alarm: Cell<Option<Millis>>,
}

impl<H: ObjectHost> OneTimeStoreActor<H> {
    /// The one-time store in this host.
    pub fn new(host: Rc<H>) -> Self {
        Self { host, ready: Cell::new(false), alarm: Cell::new(None) }
    }

    /// Handles one command; the result is a reply frame. A question about what was never here leaves nothing behind.
    pub async fn handle(&self, command: OneTimeStoreCommand) -> Vec<u8> {
        if command.policy().absent == Absent::Create
            && let Err(error) = self.prepare()
        {
            return reply::<()>(&Err(error.into()));
        }
        match command {
            OneTimeStoreCommand::AcquirePermit(ask) => reply(&self.acquire_permit(*ask).await),
            OneTimeStoreCommand::ReturnPermit(ask) => reply(&self.return_permit(*ask).await),
            OneTimeStoreCommand::StoreEntry(ask) => reply(&self.store_entry(*ask).await),
            OneTimeStoreCommand::ReadEntries(_) => reply(&self.read_entries()),
            OneTimeStoreCommand::TakeEntries(_) => reply(&self.take_entries()),
            OneTimeStoreCommand::OpenProof(ask) => reply(&self.open_proof(*ask).await),
            OneTimeStoreCommand::ConfirmProof(ask) => reply(&self.confirm_proof(&ask)),
            OneTimeStoreCommand::SpendProof(ask) => reply(&self.spend_proof(&ask)),
            OneTimeStoreCommand::DropProof(_) => reply(&self.drop_proof()),
        }
    }

    /// Whether nothing here counts any more; the host then deletes everything.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn is_over(&self) -> Result<bool, MatrixError> {
        self.alarm.set(None);
        if !self.is_there()? {
            return Ok(true);
        }
        let sql = self.host.sql();
        let over = permits::until(sql)?.max(entries::until(sql)?).max(proof::until(sql)?);
        if over > self.host.now() {
            self.look_again(over).await;
            return Ok(false);
        }
        self.ready.set(false);
        Ok(true)
    }

    /// Whether there are tables, and so perhaps something in them.
    fn is_there(&self) -> Result<bool, SqlError> {
        if !self.ready.get() {
            self.ready.set(SCHEMA.renew(self.host.sql())?);
        }
        Ok(self.ready.get())
    }

    /// Makes the tables, for something that is to be kept.
    fn prepare(&self) -> Result<(), SqlError> {
        if !self.ready.get() {
            SCHEMA.create(self.host.sql())?;
            self.ready.set(true);
        }
        Ok(())
    }

    /// Asks for the alarm at `at`, unless one is on its way: when that one finds something left, it asks again.
    async fn look_again(&self, at: Millis) {
        if self.alarm.get().is_none() {
            self.alarm.set(Some(at));
            self.host.set_alarm(at).await;
        }
    }
}

fn reply<T: Serialize>(result: &Result<T, MatrixError>) -> Vec<u8> {
    frame::write_reply(result)
}
