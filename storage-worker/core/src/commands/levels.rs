//! How full the databases are: measured by the cron trigger, kept in GLOBAL, looked at when a room is made.

use futures::future::try_join_all;
use serde::Serialize;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Row,
    wire::storage::{DatabaseLevel, ReadLevels},
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

/// Bytes that a database may have (D1, "Limits").
pub const MAX_BYTES: u64 = 10_000_000_000;

/// A shard with more takes no new rooms: what is left is for those it has.
pub const CLOSED_ABOVE: u64 = 8_000_000_000;

/// A database with more is spoken of in the log.
pub const WARNED_ABOVE: u64 = 6_000_000_000;

/// The number in `levels` that stands for GLOBAL.
const GLOBAL: u8 = u8::MAX;

/// The levels of the databases `?1`, by number.
const LEVELS: &str = "SELECT j.value AS shard, l.bytes AS bytes, l.measured AS measured \
    FROM json_each(?1) j LEFT JOIN levels l ON l.shard = j.value ORDER BY j.key";

const STORE: &str = "INSERT INTO levels (shard, bytes, measured) \
    SELECT j.value ->> 0, j.value ->> 1, ?2 FROM json_each(?1) j WHERE true \
    ON CONFLICT DO UPDATE SET bytes = excluded.bytes, measured = excluded.measured";

/// A shard among `?1` is open; one that was never measured is.
pub(crate) const OPEN: &str = "SELECT 1 AS open FROM json_each(?1) j LEFT JOIN levels l ON l.shard = j.value \
    WHERE coalesce(l.bytes, 0) <= ?2 LIMIT 1";

/// A row for `STORE`: number and bytes.
#[derive(Serialize)]
struct LevelRow(u8, u64);

/// All databases, by the number that `levels` calls them.
fn numbers(databases: &impl Databases) -> Vec<u8> {
    std::iter::once(GLOBAL).chain(0..databases.shards()).collect()
}

const fn database(number: u8) -> Database {
    if number == GLOBAL { Database::Global } else { Database::Shard(number) }
}

/// One read on GLOBAL.
pub(crate) async fn read_levels<D: Databases>(
    storage: &Storage<'_, D>,
    _: ReadLevels,
) -> Result<Vec<DatabaseLevel>, MatrixError> {
    let read = Statement::new(LEVELS, [json_list(&numbers(&storage.databases))?]);
    let [rows] = run(&storage.databases, Database::Global, [read]).await?;
    Ok(rows.iter().filter_map(level).collect())
}

fn level(row: &Row) -> Option<DatabaseLevel> {
    let number = u8::try_from(row.int(0)?).ok()?;
    let bytes = row.int(1).unwrap_or(0);
    Some(DatabaseLevel {
        database: database(number).name(),
        bytes,
        max_bytes: MAX_BYTES,
        measured: row.int(2).map(Millis),
        takes_rooms: number != GLOBAL && bytes <= CLOSED_ABOVE,
    })
}

/// Measures all databases and stores how full they are; those of which the operator should hear, fullest first.
///
/// # Errors
/// 503 when one cannot be reached.
pub async fn measure<D: Databases>(databases: &D, now: Millis) -> Result<Vec<(Database, u64)>, MatrixError> {
    let size = async |number: u8| {
        let bytes = databases.size(database(number)).await.map_err(|_| MatrixError::unavailable())?;
        Ok::<_, MatrixError>(LevelRow(number, bytes))
    };
    let rows = try_join_all(numbers(databases).into_iter().map(size)).await?;
    run(databases, Database::Global, [Statement::new(STORE, [json_list(&rows)?, now.0.into()])]).await?;
    let mut full: Vec<_> =
        rows.into_iter().filter(|row| row.1 > WARNED_ABOVE).map(|row| (database(row.0), row.1)).collect();
    full.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(full)
}
