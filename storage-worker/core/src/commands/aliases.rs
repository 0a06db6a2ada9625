//! Room aliases.

use ruma::{OwnedRoomAliasId, OwnedUserId, RoomAliasId, RoomId};
use tern_model::MatrixError;
use tern_ports::{
    Row, Value,
    wire::{
        Done,
        directory::{AddAlias, AliasRow, ListAliases, LoadAlias, MoveAliases, RemoveAlias},
    },
};

use super::directory::UNLIST;
use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

const LOAD_ALIAS: &str = "SELECT room_id AS room_id, creator AS creator FROM aliases WHERE alias = ?1";

const ADD_ALIAS: &str =
    "INSERT INTO aliases (alias, room_id, creator, created) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

const ADDED: &str = "SELECT 1 FROM aliases WHERE alias = ?1 AND room_id = ?2 AND creator = ?3 AND created = ?4";

const REMOVE_ALIAS: &str = "DELETE FROM aliases WHERE alias = ?1 AND room_id = ?2";

const ALIASES: &str = "SELECT alias AS alias FROM aliases WHERE room_id = ?1 ORDER BY alias";

/// One batch. An alias that exists is refused, whichever room it belongs to; the same request again, whose answer was lost,
/// is known by its time.
pub(crate) async fn add_alias<D: Databases>(storage: &Storage<'_, D>, ask: AddAlias) -> Result<Done, MatrixError> {
    let row: [Value; 4] =
        [ask.alias.as_str().into(), ask.room_id.as_str().into(), ask.creator.as_str().into(), ask.ts.0.into()];
    let statements = [Statement::new(ADD_ALIAS, row.clone()), Statement::new(ADDED, row)];
    let [_, added] = run(&storage.databases, Database::Global, statements).await?;
    if added.is_empty() {
        return Err(MatrixError::new(409, "M_UNKNOWN", "The alias exists already"));
    }
    Ok(Done {})
}

/// One read.
pub(crate) async fn load_alias<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadAlias,
) -> Result<Option<AliasRow>, MatrixError> {
    let load = Statement::new(LOAD_ALIAS, [ask.alias.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    let row = |row: &Row| {
        Some(AliasRow {
            room_id: RoomId::parse(row.text(0)?).ok()?,
            creator: OwnedUserId::try_from(row.text(1)?).ok()?,
        })
    };
    Ok(rows.first().and_then(row))
}

/// One write.
pub(crate) async fn remove_alias<D: Databases>(
    storage: &Storage<'_, D>,
    ask: RemoveAlias,
) -> Result<Done, MatrixError> {
    let remove = Statement::new(REMOVE_ALIAS, [ask.alias.as_str().into(), ask.room_id.as_str().into()]);
    run(&storage.databases, Database::Global, [remove]).await?;
    Ok(Done {})
}

/// One read.
pub(crate) async fn list_aliases<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ListAliases,
) -> Result<Vec<OwnedRoomAliasId>, MatrixError> {
    let list = Statement::new(ALIASES, [ask.room_id.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [list]).await?;
    Ok(rows.iter().filter_map(|row| RoomAliasId::parse(row.text(0)?).ok()).collect())
}

/// One batch.
pub(crate) async fn move_aliases<D: Databases>(
    storage: &Storage<'_, D>,
    ask: MoveAliases,
) -> Result<Done, MatrixError> {
    const ALIAS: &str = "UPDATE aliases SET room_id = ?2 WHERE room_id = ?1";
    const LISTED: &str = "INSERT INTO directory (room_id, published) \
        SELECT ?2, published FROM directory WHERE room_id = ?1 ON CONFLICT DO NOTHING";
    let both = || [ask.from.as_str().into(), ask.to.as_str().into()];
    let statements = [
        Statement::new(ALIAS, both()),
        Statement::new(LISTED, both()),
        Statement::new(UNLIST, [ask.from.as_str().into()]),
    ];
    run(&storage.databases, Database::Global, statements).await?;
    Ok(Done {})
}
