//! What objects hold, and what was done so far.

use std::{collections::BTreeMap, ops::Sub};

use tern_ports::Target;
use tern_storage::Database;

use super::World;
use crate::d1::SHARDS;

/// What one object holds, and how often its alarm has rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes of its database.
    pub bytes: u64,
    /// How often.
    pub rings: u64,
}

/// What all databases have done together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Statements.
    pub statements: u64,
    /// Steps of SQLite's virtual machine.
    pub steps: u64,
}

impl Sub for Work {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { statements: self.statements - before.statements, steps: self.steps - before.steps }
    }
}

impl World {
    /// What each object holds.
    pub fn held(&self) -> BTreeMap<Target, Held> {
        let objects = self.0.objects.borrow();
        let held = objects
            .iter()
            .map(|(target, object)| (target.clone(), Held { bytes: object.sqlite.bytes(), rings: object.rings.get() }));
        held.collect()
    }

    /// What was done so far.
    pub fn work(&self) -> Work {
        let objects = self.0.objects.borrow();
        let shards = (0..SHARDS).map(Database::Shard).chain([Database::Global]);
        let databases = shards.map(|database| self.0.storage.d1.database(database));
        let all = objects.values().map(|object| &object.sqlite).chain(databases);
        all.fold(Work::default(), |work, sqlite| Work {
            statements: work.statements + sqlite.statements(),
            steps: work.steps + sqlite.steps(),
        })
    }

    /// Bytes of the database of what must be unique across the server.
    pub fn global_bytes(&self) -> u64 {
        self.0.storage.d1.database(Database::Global).bytes()
    }
}
