//! Other servers that fail again and again.

use ruma::ServerName;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Row,
    wire::{
        Done,
        troubles::{ListTroubles, NoteTrouble, TroubledServer},
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

/// So many are kept: more than this administrators do not read.
const NOTE: &str = "INSERT INTO server_troubles (server, since) SELECT ?1, ?2 \
     WHERE (SELECT count(*) FROM server_troubles) < 10000 ON CONFLICT DO NOTHING";

const CLEAR: &str = "DELETE FROM server_troubles WHERE server = ?1";

const LIST: &str =
    "SELECT server AS server, since AS since FROM server_troubles WHERE server > ?1 ORDER BY server LIMIT ?2";

/// One write.
pub(crate) async fn note<D: Databases>(storage: &Storage<'_, D>, ask: NoteTrouble) -> Result<Done, MatrixError> {
    let server = ask.server.as_str();
    let statement = if ask.fails {
        Statement::new(NOTE, [server.into(), ask.ts.0.into()])
    } else {
        Statement::new(CLEAR, [server.into()])
    };
    let [_] = run(&storage.databases, Database::Global, [statement]).await?;
    Ok(Done {})
}

/// As [`list`], for whoever passes it on: JSON.
///
/// # Errors
/// 503.
pub async fn list_as_json<D: Databases>(storage: &Storage<'_, D>, ask: ListTroubles) -> Result<Vec<u8>, MatrixError> {
    serde_json::to_vec(&list(storage, ask).await?).map_err(|_| MatrixError::internal())
}

/// One read.
pub(crate) async fn list<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ListTroubles,
) -> Result<Vec<TroubledServer>, MatrixError> {
    let after = ask.after.as_deref().map_or("", ServerName::as_str);
    let list = Statement::new(LIST, [after.into(), u64::from(ask.limit).into()]);
    let [rows] = run(&storage.databases, Database::Global, [list]).await?;
    let read =
        |row: &Row| Some(TroubledServer { server: ServerName::parse(row.text(0)?).ok()?, since: Millis(row.int(1)?) });
    rows.iter().map(|row| read(row).ok_or_else(MatrixError::unavailable)).collect()
}
