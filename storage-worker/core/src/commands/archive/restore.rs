//! Writing a backup into empty databases.

use serde_json::{Map, Value as Json, json};
use tern_model::{MatrixError, Name, RawJson};
use tern_ports::Value;

use super::tables::{Table, all, shown};
use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run, run_all},
};

/// The one place that decides whether a server may be written: nobody is there, or this restore has begun when nobody was.
/// Of two that begin at once one is under way.
const BEGIN: &str = "INSERT INTO restore (one, id, written) SELECT 1, ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM users) \
     ON CONFLICT DO UPDATE SET id = excluded.id, written = 0 WHERE NOT EXISTS (SELECT 1 FROM users)";
/// Another run of the same restore, the id before the dot, takes over: the one before it is refused from now on.
const GO_ON: &str = "UPDATE restore SET id = ?1 \
     WHERE instr(id, '.') > 0 AND substr(id, 1, instr(id, '.')) = substr(?1, 1, instr(?1, '.'))";
const UNDER_WAY: &str = "SELECT written AS written FROM restore WHERE id = ?1";
/// From here on rooms may store what they have: nothing is written over it or cut back again.
const WRITTEN: &str = "UPDATE restore SET written = 1 WHERE id = ?1";
const END: &str = "DELETE FROM restore WHERE id = ?1";

/// The words of the events in `?1`, of rooms that are not encrypted, unless they are indexed.
const INDEX: &str = "INSERT INTO search (rowid, words) SELECT s.pos, s.words \
     FROM json_each(?1) j CROSS JOIN searchable s ON s.pos = j.value ->> 'pos' \
     WHERE s.words IS NOT NULL AND NOT EXISTS (SELECT 1 FROM search_docsize d WHERE d.id = s.pos) \
     AND NOT EXISTS (SELECT 1 FROM state_deltas d \
       WHERE d.room = s.pos >> 32 AND d.kind = 'm.room.encryption' AND d.state_key = '')";

/// What is beyond the positions of the rooms in `?1`, a list of both.
macro_rules! beyond {
    () => {
        "WITH beyond AS MATERIALIZED (\
           SELECT r.num AS num, (r.num << 32) + (j.value ->> 1) AS last \
           FROM json_each(?1) j CROSS JOIN rooms r ON r.room_id = j.value ->> 0) "
    };
}
const UNINDEX: &str = concat!(
    beyond!(),
    "INSERT INTO search (search, rowid, words) SELECT 'delete', s.pos, s.words FROM beyond b \
     CROSS JOIN search_docsize d ON d.id > b.last AND d.id < ((b.num + 1) << 32) CROSS JOIN searchable s ON s.pos = d.id"
);
const DROP_EVENTS: &str = concat!(
    beyond!(),
    "DELETE FROM events WHERE pos IN (\
       SELECT e.pos FROM beyond b CROSS JOIN events e ON e.pos > b.last AND e.pos < ((b.num + 1) << 32))"
);
const DROP_STATE: &str = concat!(
    beyond!(),
    "DELETE FROM state_deltas WHERE (room, kind, state_key, pos) IN (\
       SELECT d.room, d.kind, d.state_key, d.pos FROM beyond b CROSS JOIN state_deltas d ON d.room = b.num AND d.pos > b.last)"
);
/// So that what the room says next of itself is taken for newer.
const LOWER_FACTS: &str = "UPDATE room_facts SET as_of = j.value ->> 1 FROM json_each(?1) j \
     WHERE room_facts.room_id = j.value ->> 0 AND room_facts.as_of > j.value ->> 1";

/// Most rooms that are trimmed at once.
const MOST_ROOMS: usize = 100;

/// Begins, or goes on; the answer says whether all rows are written already.
pub(super) async fn begin(databases: &impl Databases, restore: &Name) -> Result<RawJson, MatrixError> {
    run(databases, Database::Global, [Statement::new(GO_ON, [Value::from(restore.as_str())])]).await?;
    if admit(databases, restore).await.is_err() {
        run(databases, Database::Global, [Statement::new(BEGIN, [Value::from(restore.as_str())])]).await?;
    }
    let written = admit(databases, restore).await?;
    shown(&json!({ "written": written }))
}

/// Refuses what does not belong to the restore that is under way; whether its rows are all written.
pub(crate) async fn admit(databases: &impl Databases, restore: &Name) -> Result<bool, MatrixError> {
    let statement = Statement::new(UNDER_WAY, [Value::from(restore.as_str())]);
    let [found] = run(databases, Database::Global, [statement]).await?;
    let found = found.first().map(|row| row.flag(0));
    found
        .ok_or_else(|| MatrixError::new(409, "TERN_NOT_EMPTY", "The server has users, or another restore is under way"))
}

/// Refuses rows of a restore whose rooms may have gone on.
async fn admit_rows(databases: &impl Databases, restore: &Name) -> Result<(), MatrixError> {
    if admit(databases, restore).await? {
        return Err(MatrixError::new(409, "TERN_WRITTEN", "All rows of this restore are written"));
    }
    Ok(())
}

pub(super) async fn write(
    databases: &impl Databases,
    restore: &Name,
    (database, table): (Database, &Table),
    rows: &RawJson,
) -> Result<RawJson, MatrixError> {
    admit_rows(databases, restore).await?;
    admit_columns(table, rows)?;
    let rows = Value::from(rows.text());
    let mut statements = vec![Statement::new(table.write, [rows.clone()])];
    if table.name == "events" {
        statements.push(Statement::new(INDEX, [rows]));
    }
    run_all(databases, database, statements).await?;
    Ok(RawJson::empty_object())
}

/// Refuses rows with what the table has no place for.
fn admit_columns(table: &Table, rows: &RawJson) -> Result<(), MatrixError> {
    let rows: Vec<Map<String, Json>> = rows.read().map_err(|_| MatrixError::bad_json("Rows are a list of objects"))?;
    if rows.iter().flat_map(Map::keys).all(|column| table.columns.contains(&column.as_str())) {
        Ok(())
    } else {
        Err(MatrixError::new(409, "TERN_NEWER_SCHEMA", "The backup is of a newer build"))
    }
}

pub(super) async fn trim<D: Databases>(
    storage: &Storage<'_, D>,
    restore: &Name,
    rooms: Vec<(Name, u64)>,
) -> Result<RawJson, MatrixError> {
    admit_rows(&storage.databases, restore).await?;
    if rooms.len() > MOST_ROOMS {
        return Err(MatrixError::bad_json("At most 100 rooms"));
    }
    let rooms = heads(&rooms)?;
    for database in all(&storage.databases) {
        let sql: &[&'static str] = match database {
            Database::Global => &[LOWER_FACTS],
            Database::Shard(_) => &[UNINDEX, DROP_EVENTS, DROP_STATE],
        };
        let statements = sql.iter().map(|sql| Statement::new(sql, [rooms.clone()])).collect();
        run_all(&storage.databases, database, statements).await?;
    }
    Ok(RawJson::empty_object())
}

pub(super) async fn written(databases: &impl Databases, restore: &Name) -> Result<RawJson, MatrixError> {
    admit(databases, restore).await?;
    run(databases, Database::Global, [Statement::new(WRITTEN, [Value::from(restore.as_str())])]).await?;
    Ok(RawJson::empty_object())
}

pub(super) async fn end(databases: &impl Databases, restore: &Name) -> Result<RawJson, MatrixError> {
    run(databases, Database::Global, [Statement::new(END, [Value::from(restore.as_str())])]).await?;
    Ok(RawJson::empty_object())
}

/// A list of rooms and positions as one parameter.
fn heads(rooms: &[(Name, u64)]) -> Result<Value, MatrixError> {
    let rooms: Vec<(&str, u64)> = rooms.iter().map(|(room_id, head)| (room_id.as_str(), *head)).collect();
    json_list(&rooms)
}
