//! The registry of OAuth clients. An id is the hash of what was registered, so what was registered never changes. Anybody can
//! register; a client that nobody lets in is forgotten.

use tern_model::{MatrixError, Millis};
use tern_ports::wire::{
    Done,
    storage::{ClientRow, LoadClient, SaveClient, UseClient},
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

/// Who registers again before anybody has let them in has time again. Whom the operator trusts stays.
const SAVE: &str = "INSERT INTO oauth_clients (client_id, metadata, secret_hash, created, used) \
     VALUES (?1, ?2, ?3, ?4, ?3 IS NOT NULL) ON CONFLICT DO UPDATE SET created = excluded.created \
     WHERE used = 0 AND created < excluded.created - ?5";

const USE: &str = "UPDATE oauth_clients SET used = 1 WHERE client_id = ?1 AND used = 0";

const EXPIRE: &str = "DELETE FROM oauth_clients WHERE used = 0 AND created < ?1";

/// How long a client is kept that nobody lets in, in milliseconds.
pub const UNUSED_FOR: u64 = 7 * 24 * 60 * 60 * 1_000;
/// A registration that is repeated within this time writes nothing, in milliseconds.
const AGAIN_AFTER: u64 = 60 * 60 * 1_000;

const LOAD: &str = "SELECT metadata AS metadata, secret_hash AS secret_hash FROM oauth_clients WHERE client_id = ?1";

/// One write, none for a client that is known and used, or was registered a moment ago.
pub(crate) async fn save_client<D: Databases>(storage: &Storage<'_, D>, ask: SaveClient) -> Result<Done, MatrixError> {
    let SaveClient { client_id, metadata, secret_hash, ts } = ask;
    let save =
        Statement::new(SAVE, [client_id.into(), metadata.into(), secret_hash.into(), ts.0.into(), AGAIN_AFTER.into()]);
    let [_] = run(&storage.databases, Database::Global, [save]).await?;
    Ok(Done {})
}

/// One read.
pub(crate) async fn load_client<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadClient,
) -> Result<Option<ClientRow>, MatrixError> {
    let load = Statement::new(LOAD, [ask.client_id.into()]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    Ok(rows.first().and_then(|row| Some(ClientRow { metadata: row.string(0)?, secret_hash: row.string(1) })))
}

/// One write, none for a client that was used before.
pub(crate) async fn use_client<D: Databases>(storage: &Storage<'_, D>, ask: UseClient) -> Result<Done, MatrixError> {
    let [_] = run(&storage.databases, Database::Global, [Statement::new(USE, [ask.client_id.into()])]).await?;
    Ok(Done {})
}

/// Forgets clients that nobody has let in for a while.
///
/// # Errors
/// 503 when the database fails.
pub async fn expire<D: Databases>(databases: &D, now: Millis) -> Result<(), MatrixError> {
    let before = now.0.saturating_sub(UNUSED_FOR);
    let [_] = run(databases, Database::Global, [Statement::new(EXPIRE, [before.into()])]).await?;
    Ok(())
}
