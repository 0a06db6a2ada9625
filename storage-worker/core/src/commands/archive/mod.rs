//! `Archive`: the databases table by table, out of them and into empty ones, and whether a server may be written at all.

mod restore;
pub mod tables;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tern_model::{MatrixError, Name, RawJson};
use tern_ports::{Row, Value, wire::archive::Archive};

use self::tables::{Table, all, shown, tables};
use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

pub(crate) use restore::admit;

/// What may be asked. Databases are named as they are bound.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    /// Which databases there are, and their tables in order.
    List {},
    /// Rows of a table after a place. The answer's `next` is the place of the last; nothing when there is no more.
    Rows { database: Name, table: Name, after: Option<RawJson> },
    /// Begins a restore, or goes on with it; the answer's `written` says whether all rows are there. Its id is that of the backup, a
    /// dot, and what is of this run alone: a later run takes over.
    Begin { restore: Name },
    /// Whether this restore is under way.
    Check { restore: Name },
    /// Writes rows, as they were read.
    Write { restore: Name, database: Name, table: Name, rows: RawJson },
    /// Takes away what rooms store again, by the position up to which each says that it was stored.
    Trim { restore: Name, rooms: Vec<(Name, u64)> },
    /// All rows are there, and rooms may go on: none is written or taken away any more.
    Written { restore: Name },
    /// Ends it.
    End { restore: Name },
}

impl Question {
    /// It needs the right to write.
    const fn writes(&self) -> bool {
        !matches!(self, Self::List {} | Self::Rows { .. })
    }
}

pub(crate) async fn answer<D: Databases>(storage: &Storage<'_, D>, ask: Archive) -> Result<RawJson, MatrixError> {
    let question: Question = ask.question.read().map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if question.writes() != ask.writes {
        return Err(MatrixError::bad_json("This is asked elsewhere"));
    }
    let databases = &storage.databases;
    match question {
        Question::List {} => shown(&list(databases)),
        Question::Rows { database, table, after } => {
            let (database, table) = named(databases, &database, &table)?;
            rows(databases, database, table, after).await
        }
        Question::Begin { restore } => restore::begin(databases, &restore).await,
        Question::Check { restore } => {
            admit(databases, &restore).await?;
            Ok(RawJson::empty_object())
        }
        Question::Write { restore, database, table, rows } => {
            let (database, table) = named(databases, &database, &table)?;
            restore::write(databases, &restore, (database, table), &rows).await
        }
        Question::Trim { restore, rooms } => restore::trim(storage, &restore, rooms).await,
        Question::Written { restore } => restore::written(databases, &restore).await,
        Question::End { restore } => restore::end(databases, &restore).await,
    }
}

fn list(databases: &impl Databases) -> serde_json::Value {
    let shown = |database: Database| {
        let names: Vec<_> = tables(database).iter().map(|table| table.name).collect();
        json!({ "name": database.name(), "tables": names })
    };
    json!({ "databases": all(databases).map(shown).collect::<Vec<_>>() })
}

fn named(databases: &impl Databases, database: &str, table: &str) -> Result<(Database, &'static Table), MatrixError> {
    let missing = || MatrixError::not_found("No such table");
    let database = all(databases).find(|one| one.name() == database).ok_or_else(missing)?;
    tables(database).iter().find(|one| one.name == table).map(|table| (database, table)).ok_or_else(missing)
}

#[derive(Serialize)]
struct Page {
    rows: Vec<RawJson>,
    next: Option<RawJson>,
}

async fn rows(
    databases: &impl Databases,
    database: Database,
    table: &Table,
    after: Option<RawJson>,
) -> Result<RawJson, MatrixError> {
    let statement = match after {
        Some(after) => Statement::new(table.next, [Value::from(after.text())]),
        None => Statement::new(table.first, []),
    };
    let [rows] = run(databases, database, [statement]).await?;
    let line = |row: &Row| RawJson::parse(row.string(0).unwrap_or_default()).map_err(|_| MatrixError::internal());
    let lines = rows.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    let next = rows.last().and_then(|row| RawJson::parse(row.string(1)?).ok());
    shown(&Page { rows: lines, next })
}
