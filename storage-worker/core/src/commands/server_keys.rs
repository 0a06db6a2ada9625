//! Keys of other servers. What is in them was checked by whoever has it stored.

use ruma::ServerName;
use tern_model::{MatrixError, Millis, Name, RawJson};
use tern_ports::{
    Row,
    wire::server_keys::{LoadKeyResponses, LoadServerKeys, StoreServerKeys, StoredKeyResponse, StoredServerKey},
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

/// Servers of which keys are kept. Names cost nothing, so strangers can make up any number of them.
pub const MOST_SERVERS: u64 = 10_000;
/// What the sweep leaves of them, the newest: so there is room for others until it comes again.
pub const KEPT_SERVERS: u64 = 9_000;
/// How long the keys of a server are kept that nobody has asked for since, in milliseconds. They are asked for again when they
/// are needed; a server renews them within a week.
pub const KEPT_FOR: u64 = 90 * 24 * 60 * 60 * 1_000;
/// Servers that one sweep forgets, at most.
const MOST_FORGOTTEN: u64 = 1_000;

/// Counts a server that is new, up to one more than there may be.
const COUNT: &str = "UPDATE server_key_figures SET servers = servers + 1 WHERE servers <= ?2 \
     AND NOT EXISTS (SELECT 1 FROM server_key_responses WHERE server = ?1)";

const STORE_RESPONSE: &str = "INSERT INTO server_key_responses (server, seen, response) SELECT ?1, ?2, ?3 \
     WHERE (SELECT servers FROM server_key_figures) <= ?4 \
     OR EXISTS (SELECT 1 FROM server_key_responses WHERE server = ?1) \
     ON CONFLICT DO UPDATE SET seen = excluded.seen, response = excluded.response \
     WHERE excluded.seen >= server_key_responses.seen";

/// A server has at most 256 keys here, and none without a response. A key never becomes another one under the same id, and of
/// what was said at two times the later counts.
const STORE_KEYS: &str = "INSERT INTO server_keys (server, key_id, key, valid_until, expired, seen) \
     SELECT ?1, j.value->>'key_id', j.value->>'key', j.value->>'valid_until', coalesce(j.value->>'expired', 0), ?3 \
     FROM json_each(?2) j WHERE EXISTS (SELECT 1 FROM server_key_responses WHERE server = ?1) \
     AND ((SELECT count(*) FROM server_keys WHERE server = ?1) < 256 \
     OR EXISTS (SELECT 1 FROM server_keys k WHERE k.server = ?1 AND k.key_id = j.value->>'key_id')) \
     ON CONFLICT DO UPDATE SET valid_until = excluded.valid_until, expired = excluded.expired, seen = excluded.seen \
     WHERE excluded.key = server_keys.key AND excluded.seen >= server_keys.seen";

const FORGET_OLD: &str = "DELETE FROM server_key_responses WHERE server IN \
     (SELECT server FROM server_key_responses WHERE seen < ?1 ORDER BY seen LIMIT ?2)";

/// The oldest of more than are kept.
const FORGET_MANY: &str = "DELETE FROM server_key_responses WHERE server IN \
     (SELECT server FROM server_key_responses ORDER BY seen \
     LIMIT min(?2, max((SELECT count(*) FROM server_key_responses) - ?1, 0)))";

const FORGET_KEYS: &str = "DELETE FROM server_keys WHERE server NOT IN (SELECT server FROM server_key_responses)";

const RECOUNT: &str = "UPDATE server_key_figures SET servers = (SELECT count(*) FROM server_key_responses) \
     WHERE servers <> (SELECT count(*) FROM server_key_responses)";

const LOAD_KEYS: &str = "SELECT key_id AS key_id, key AS key, valid_until AS valid_until, expired AS expired \
     FROM server_keys WHERE server = ?1 ORDER BY key_id";

const LOAD_RESPONSES: &str = "SELECT server AS server, response AS response FROM server_key_responses \
     WHERE server IN (SELECT value FROM json_each(?1))";

/// A write for each row and a read. With as many servers as are kept, a new one is not kept, and what it says counts all the
/// same: nobody is locked out by others.
pub(crate) async fn store<D: Databases>(
    storage: &Storage<'_, D>,
    ask: StoreServerKeys,
) -> Result<Vec<StoredServerKey>, MatrixError> {
    let server = ask.server.as_str();
    let count = Statement::new(COUNT, [server.into(), MOST_SERVERS.into()]);
    let response = ask.response.text().to_owned();
    let params = [server.into(), ask.seen.0.into(), response.into(), MOST_SERVERS.into()];
    let response = Statement::new(STORE_RESPONSE, params);
    let keys = Statement::new(STORE_KEYS, [server.into(), json_list(&ask.keys)?, ask.seen.0.into()]);
    let load = Statement::new(LOAD_KEYS, [server.into()]);
    let [_, _, _, rows] = run(&storage.databases, Database::Global, [count, response, keys, load]).await?;
    if rows.is_empty() { Ok(ask.keys.into_vec()) } else { read_all(&rows) }
}

/// Forgets servers that nobody has asked for in a long time, and the oldest where there are too many.
///
/// # Errors
/// 503 when the database fails.
pub async fn expire<D: Databases>(databases: &D, now: Millis) -> Result<(), MatrixError> {
    let before = now.0.saturating_sub(KEPT_FOR);
    let old = Statement::new(FORGET_OLD, [before.into(), MOST_FORGOTTEN.into()]);
    let many = Statement::new(FORGET_MANY, [KEPT_SERVERS.into(), MOST_FORGOTTEN.into()]);
    let (keys, recount) = (Statement::new(FORGET_KEYS, []), Statement::new(RECOUNT, []));
    let [_, _, _, _] = run(databases, Database::Global, [old, many, keys, recount]).await?;
    Ok(())
}

/// One read.
pub(crate) async fn load<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadServerKeys,
) -> Result<Vec<StoredServerKey>, MatrixError> {
    let load = Statement::new(LOAD_KEYS, [ask.server.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    read_all(&rows)
}

/// One read.
pub(crate) async fn load_responses<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadKeyResponses,
) -> Result<Vec<StoredKeyResponse>, MatrixError> {
    let load = Statement::new(LOAD_RESPONSES, [json_list(&ask.servers)?]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    let response = |row: &Row| {
        let server = ServerName::parse(row.text(0)?).ok()?;
        Some(StoredKeyResponse { server, response: RawJson::parse(row.string(1)?).ok()? })
    };
    rows.iter().map(|row| response(row).ok_or_else(MatrixError::unavailable)).collect()
}

fn read_all(rows: &[Row]) -> Result<Vec<StoredServerKey>, MatrixError> {
    let key = |row: &Row| {
        Some(StoredServerKey {
            key_id: Name::new(row.text(0)?).ok()?,
            key: Name::new(row.text(1)?).ok()?,
            valid_until: Millis(row.int(2)?),
            expired: row.int(3)? != 0,
        })
    };
    rows.iter().map(|row| key(row).ok_or_else(MatrixError::unavailable)).collect()
}
