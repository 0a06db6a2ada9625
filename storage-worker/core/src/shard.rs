//! Which database holds a room.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use lru::LruCache;
use ruma::{OwnedRoomId, RoomId};
use tern_model::MatrixError;
use tern_ports::Row;

use crate::sql::{Database, Databases, Statement, json_list, run};

/// How far above the least full shard another one may be, in bytes, to be given a new room: what is about as full gets its
/// part, so that not all new rooms come to one place.
const SPREAD: u64 = 500_000_000;

/// How many placements are remembered, at about 100 bytes each.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

const FIND: &str = "SELECT p.room_id AS room_id, p.shard AS shard \
    FROM json_each(?1) ids CROSS JOIN placements p ON p.room_id = ids.value";

/// Of the shards `?4`, the one that `?2` falls on among those that are hardly fuller than the least full one.
const PLACE: &str = "INSERT INTO placements (room_id, shard, version) \
    SELECT ?1, c.shard, ?3 FROM ( \
      SELECT f.shard AS shard, row_number() OVER (ORDER BY f.shard) - 1 AS place, count(*) OVER () AS many FROM ( \
        SELECT j.value AS shard, coalesce(l.bytes, 0) AS bytes, min(coalesce(l.bytes, 0)) OVER () AS least \
        FROM json_each(?4) j LEFT JOIN levels l ON l.shard = j.value) f \
      WHERE f.bytes <= f.least + ?5) c \
    WHERE c.place = CAST(?2 AS INTEGER) % c.many ON CONFLICT DO NOTHING";

/// The stored map from room to shard, as far as this isolate has met it. A placement never changes, so what is remembered
/// stays true.
pub struct ShardMap(RefCell<LruCache<OwnedRoomId, u8>>);

impl Default for ShardMap {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(REMEMBERED)))
    }
}

impl ShardMap {
    fn known(&self, room_id: &RoomId) -> Option<u8> {
        self.0.borrow_mut().get(room_id).copied()
    }

    fn learn(&self, rows: &[Row]) -> BTreeMap<OwnedRoomId, u8> {
        let placement = |row: &Row| {
            let room_id = RoomId::parse(row.text(0)?).ok()?;
            Some((room_id, u8::try_from(row.int(1)?).ok()?))
        };
        let found: BTreeMap<_, _> = rows.iter().filter_map(placement).collect();
        let mut remembered = self.0.borrow_mut();
        for (room_id, shard) in &found {
            remembered.put(room_id.clone(), *shard);
        }
        found
    }

    /// The shards of those of `rooms` that are placed; at most one read, none when all are remembered.
    pub(crate) async fn find(
        &self,
        databases: &impl Databases,
        rooms: BTreeSet<&RoomId>,
    ) -> Result<BTreeMap<OwnedRoomId, u8>, MatrixError> {
        let mut found = BTreeMap::new();
        let mut unknown = Vec::new();
        for room_id in rooms {
            match self.known(room_id) {
                Some(shard) => drop(found.insert(room_id.to_owned(), shard)),
                None => unknown.push(room_id),
            }
        }
        if !unknown.is_empty() {
            let find = Statement::new(FIND, [json_list(&unknown)?]);
            let [rows] = run(databases, Database::Global, [find]).await?;
            found.extend(self.learn(&rows));
        }
        Ok(found)
    }

    /// The shard of one room, if it is placed.
    pub(crate) async fn find_one(
        &self,
        databases: &impl Databases,
        room_id: &RoomId,
    ) -> Result<Option<Database>, MatrixError> {
        let found = self.find(databases, BTreeSet::from([room_id])).await?;
        Ok(found.get(room_id).copied().map(Database::Shard))
    }

    /// The shard of a room, which is placed now if it was not.
    pub(crate) async fn place(
        &self,
        databases: &impl Databases,
        room_id: &RoomId,
        version: &str,
    ) -> Result<Database, MatrixError> {
        if let Some(shard) = self.known(room_id) {
            return Ok(Database::Shard(shard));
        }
        let shards = json_list(&(0..databases.shards()).collect::<Vec<_>>())?;
        let params = [room_id.as_str().into(), hash(room_id).into(), version.into(), shards, SPREAD.into()];
        let place = Statement::new(PLACE, params);
        let find = Statement::new(FIND, [json_list(&[room_id])?]);
        let [_, rows] = run(databases, Database::Global, [place, find]).await?;
        let shard = self.learn(&rows).get(room_id).copied().ok_or_else(MatrixError::unavailable)?;
        Ok(Database::Shard(shard))
    }
}

/// A hash of a room's id (FNV-1a), by which new rooms are spread evenly. The choice is stored, so it need not be repeatable.
fn hash(room_id: &RoomId) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let hash = room_id.as_bytes().iter().fold(0xCBF2_9CE4_8422_2325, mix);
    // The low bits of FNV follow the low bits of the bytes; the high ones are mixed.
    hash >> 32
}
