//! Aliases and the room directory.

use ruma::{OwnedRoomId, RoomId};
use tern_model::MatrixError;
use tern_ports::wire::{
    Done,
    storage::{RegisterRoom, ReleaseAlias, ResolveAlias},
};

use crate::{
    Storage,
    commands::levels::{CLOSED_ABOVE, OPEN},
    sql::{Database, Databases, Statement, json_list, run},
};

const RESERVE: &str = "INSERT INTO aliases (alias, room_id, creator, created) SELECT ?1, ?2, ?3, ?4 WHERE ?1 IS NOT NULL \
     ON CONFLICT DO NOTHING";

/// Not when the alias went to another room.
const PUBLISH: &str = "INSERT INTO directory (room_id, published) SELECT ?1, ?2 \
     WHERE ?3 AND NOT EXISTS (SELECT 1 FROM aliases WHERE alias = ?4 AND room_id <> ?1) ON CONFLICT DO NOTHING";

const RESOLVE: &str = "SELECT room_id AS room_id FROM aliases WHERE alias = ?1";

/// One batch. Asked again for the same room it changes nothing, so a lost answer does no harm. Refused, for any room, when no
/// shard has a place for a new one.
pub(crate) async fn register_room<D: Databases>(
    storage: &Storage<'_, D>,
    ask: RegisterRoom,
) -> Result<Done, MatrixError> {
    let (room, ts) = (ask.room_id.as_str(), ask.ts.0);
    let alias = ask.alias.as_ref().map(|alias| alias.as_str());
    let statements = [
        Statement::new(RESERVE, [alias.into(), room.into(), ask.creator.as_str().into(), ts.into()]),
        Statement::new(PUBLISH, [room.into(), ts.into(), ask.public.into(), alias.into()]),
        Statement::new(RESOLVE, [alias.into()]),
    ];
    if !has_open_shard(storage).await? {
        return Err(MatrixError::storage_full());
    }
    if alias.is_none() && !ask.public {
        return Ok(Done {});
    }
    let [_, _, owner] = run(&storage.databases, Database::Global, statements).await?;
    match owner.first().and_then(|row| row.text(0)) {
        Some(owner) if owner != room => Err(MatrixError::new(400, "M_ROOM_IN_USE", "Room alias already taken")),
        _ => Ok(Done {}),
    }
}

async fn has_open_shard<D: Databases>(storage: &Storage<'_, D>) -> Result<bool, MatrixError> {
    let shards = json_list(&(0..storage.databases.shards()).collect::<Vec<_>>())?;
    let ask = Statement::new(OPEN, [shards, CLOSED_ABOVE.into()]);
    let [open] = run(&storage.databases, Database::Global, [ask]).await?;
    Ok(!open.is_empty())
}

/// One read.
pub(crate) async fn resolve_alias<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ResolveAlias,
) -> Result<Option<OwnedRoomId>, MatrixError> {
    let resolve = Statement::new(RESOLVE, [ask.alias.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [resolve]).await?;
    Ok(rows.first().and_then(|row| RoomId::parse(row.text(0)?).ok()))
}

/// One batch. A room whose events are stored was made after all and keeps what it has.
pub(crate) async fn release_alias<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ReleaseAlias,
) -> Result<Done, MatrixError> {
    const UNALIAS: &str = "DELETE FROM aliases WHERE room_id = ?1 \
        AND NOT EXISTS (SELECT 1 FROM placements WHERE room_id = ?1)";
    const UNPUBLISH: &str = "DELETE FROM directory WHERE room_id = ?1 \
        AND NOT EXISTS (SELECT 1 FROM placements WHERE room_id = ?1)";
    let room = ask.room_id.as_str();
    let statements = [Statement::new(UNALIAS, [room.into()]), Statement::new(UNPUBLISH, [room.into()])];
    run(&storage.databases, Database::Global, statements).await?;
    Ok(Done {})
}
