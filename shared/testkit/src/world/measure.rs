//! What a cluster holds, and what it has done.

use tern_ports::Target;
use tern_storage::Database;

use super::World;
use crate::d1::SHARDS;

impl World {
    /// The objects that there are, with the bytes of their databases.
    pub fn sizes(&self) -> Vec<(Target, u64)> {
        let objects = self.0.objects.borrow();
        objects.iter().map(|(target, object)| (target.clone(), object.sqlite.bytes())).collect()
    }

    /// Steps of all databases so far: how much was looked at, whatever came of it.
    pub fn steps(&self) -> u64 {
        let objects: u64 = self.0.objects.borrow().values().map(|object| object.sqlite.steps()).sum();
        let d1 = &self.0.storage.d1;
        let shards: u64 = (0..SHARDS).map(|shard| d1.database(Database::Shard(shard)).steps()).sum();
        objects + shards + d1.database(Database::Global).steps()
    }

    /// How often alarms rang, by object.
    pub fn alarms(&self) -> Vec<(Target, u64)> {
        let objects = self.0.objects.borrow();
        objects.iter().map(|(target, object)| (target.clone(), object.alarms.get())).collect()
    }
}
