//! The registry of OAuth clients. An id is the hash of what was registered, so a row is written once and never changed.

use tern_model::MatrixError;
use tern_ports::wire::{
    Done,
    storage::{ClientRow, LoadClient, SaveClient},
};

use crate::{
    dispatch::Storage,
    sql::{Database, Databases, Statement, run},
};

const SAVE: &str = "INSERT INTO oauth_clients (client_id, metadata, secret_hash, created) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT DO NOTHING";

const LOAD: &str = "SELECT metadata AS metadata, secret_hash AS secret_hash FROM oauth_clients WHERE client_id = ?1";

/// One write, none for a client that is known.
pub(crate) async fn save_client<D: Databases>(storage: &Storage<'_, D>, ask: SaveClient) -> Result<Done, MatrixError> {
    let SaveClient { client_id, metadata, secret_hash, ts } = ask;
    let save = Statement::new(SAVE, [client_id.into(), metadata.into(), secret_hash.into(), ts.0.into()]);
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
