//! Whose a device of a push gateway is, so that it can be taken from whoever had it before.

use ruma::OwnedUserId;
use tern_model::MatrixError;
use tern_ports::wire::{
    Done,
    pushers::{FindPushkey, SavePushkey},
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

const FIND: &str = "SELECT user_id AS user_id FROM pushkeys WHERE key = ?1 ORDER BY user_id LIMIT 100";

const SAVE: &str = "INSERT INTO pushkeys (key, user_id, ts) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

const TAKE: &str = "DELETE FROM pushkeys WHERE key = ?1 AND user_id <> ?2 AND ?3 = 0";

/// Keys change, and nobody says so: twice as many of a user as there may be pushers.
const TRIM: &str = "DELETE FROM pushkeys WHERE user_id = ?1 AND (key, user_id) NOT IN \
     (SELECT key, user_id FROM pushkeys WHERE user_id = ?1 ORDER BY ts DESC, key LIMIT 40)";

/// One read.
pub(crate) async fn find<D: Databases>(
    storage: &Storage<'_, D>,
    ask: FindPushkey,
) -> Result<Vec<OwnedUserId>, MatrixError> {
    let [rows] = run(&storage.databases, Database::Global, [Statement::new(FIND, [ask.key.into()])]).await?;
    Ok(rows.iter().filter_map(|row| row.text(0)?.try_into().ok()).collect())
}

/// One batch.
pub(crate) async fn save<D: Databases>(storage: &Storage<'_, D>, ask: SavePushkey) -> Result<Done, MatrixError> {
    let user_id = ask.user_id.as_str();
    let statements = [
        Statement::new(SAVE, [ask.key.clone().into(), user_id.into(), ask.ts.0.into()]),
        Statement::new(TAKE, [ask.key.into(), user_id.into(), ask.append.into()]),
        Statement::new(TRIM, [user_id.into()]),
    ];
    run(&storage.databases, Database::Global, statements).await.map(|[_, _, _]| Done {})
}
