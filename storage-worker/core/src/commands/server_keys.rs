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

/// A server has at most 256 keys here. A key never becomes another one under the same id, and of what was said at two times
/// the later counts.
const STORE_KEYS: &str = "INSERT INTO server_keys (server, key_id, key, valid_until, expired, seen) \
     SELECT ?1, j.value->>'key_id', j.value->>'key', j.value->>'valid_until', coalesce(j.value->>'expired', 0), ?3 \
     FROM json_each(?2) j WHERE (SELECT count(*) FROM server_keys WHERE server = ?1) < 256 \
     OR EXISTS (SELECT 1 FROM server_keys k WHERE k.server = ?1 AND k.key_id = j.value->>'key_id') \
     ON CONFLICT DO UPDATE SET valid_until = excluded.valid_until, expired = excluded.expired, seen = excluded.seen \
     WHERE excluded.key = server_keys.key AND excluded.seen >= server_keys.seen";

const STORE_RESPONSE: &str = "INSERT INTO server_key_responses (server, seen, response) VALUES (?1, ?2, ?3) \
     ON CONFLICT DO UPDATE SET seen = excluded.seen, response = excluded.response \
     WHERE excluded.seen >= server_key_responses.seen";

const LOAD_KEYS: &str = "SELECT key_id AS key_id, key AS key, valid_until AS valid_until, expired AS expired \
     FROM server_keys WHERE server = ?1 ORDER BY key_id";

const LOAD_RESPONSES: &str = "SELECT server AS server, response AS response FROM server_key_responses \
     WHERE server IN (SELECT value FROM json_each(?1))";

/// Two writes and a read.
pub(crate) async fn store<D: Databases>(
    storage: &Storage<'_, D>,
    ask: StoreServerKeys,
) -> Result<Vec<StoredServerKey>, MatrixError> {
    let server = ask.server.as_str();
    let keys = Statement::new(STORE_KEYS, [server.into(), json_list(&ask.keys)?, ask.seen.0.into()]);
    let response = ask.response.text().to_owned();
    let response = Statement::new(STORE_RESPONSE, [server.into(), ask.seen.0.into(), response.into()]);
    let load = Statement::new(LOAD_KEYS, [server.into()]);
    let [_, _, rows] = run(&storage.databases, Database::Global, [keys, response, load]).await?;
    read_all(&rows)
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
