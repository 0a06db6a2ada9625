//! The keys that sign id tokens: one row, replaced as a whole by whoever has seen it last.

use tern_model::MatrixError;
use tern_ports::wire::storage::{LoadKeyring, SaveKeyring, StoredKeyring};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

const LOAD: &str = "SELECT version AS version, keyring AS keyring FROM oauth_keyring";

const SAVE: &str = "INSERT INTO oauth_keyring (id, version, keyring) VALUES (1, ?1 + 1, ?2) \
     ON CONFLICT DO UPDATE SET version = excluded.version, keyring = excluded.keyring \
     WHERE oauth_keyring.version = ?1 RETURNING version AS version";

/// One read.
pub(crate) async fn load_keyring<D: Databases>(
    storage: &Storage<'_, D>,
    _: LoadKeyring,
) -> Result<Option<StoredKeyring>, MatrixError> {
    let [rows] = run(&storage.databases, Database::Global, [Statement::new(LOAD, [])]).await?;
    Ok(rows.first().and_then(|row| Some(StoredKeyring { version: row.int(0)?, keyring: row.string(1)? })))
}

/// One write.
pub(crate) async fn save_keyring<D: Databases>(
    storage: &Storage<'_, D>,
    ask: SaveKeyring,
) -> Result<bool, MatrixError> {
    let save = Statement::new(SAVE, [ask.replaces.into(), ask.keyring.into()]);
    let [rows] = run(&storage.databases, Database::Global, [save]).await?;
    Ok(!rows.is_empty())
}
