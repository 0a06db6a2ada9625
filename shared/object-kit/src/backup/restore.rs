//! Writing.

use serde::Deserialize;
use serde_json::{Value as Json, json};
use tern_model::MatrixError;
use tern_ports::{Sql, SqlError, Value};

use super::{
    Class, Restore,
    tables::{Table, from_json, tables},
};

/// Pages that wait for the last one, in parts that fit a value. `restored` stays: it tells a repeated request from one to an
/// object that was there.
const STAGED: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS restored (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, done INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS restored_page (
        number INTEGER NOT NULL, part INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (number, part)
    ) STRICT, WITHOUT ROWID",
];

/// Characters of a part; at four bytes each they fit a value.
const PART: usize = 450_000;

/// How far this restore is with the object.
#[derive(PartialEq)]
enum Stage {
    Waiting,
    Done,
}

/// Keeps a page until all are there. May be repeated.
pub(super) fn stage(sql: &impl Sql, class: Class, ask: &Restore, page: &str) -> Result<Json, MatrixError> {
    sql.transaction(|| {
        if begin(sql, class, ask)? == Stage::Waiting {
            sql.query("DELETE FROM restored_page WHERE number = +?", &[ask.number.into()])?;
            for (part, text) in (0_u64..).zip(parts(page)) {
                let values = [ask.number.into(), part.into(), text.into()];
                sql.query("INSERT INTO restored_page VALUES (?, ?, ?)", &values)?;
            }
        }
        Ok(json!({ "staged": true }))
    })
}

/// Makes the object of its pages, or nothing. May be repeated.
pub(super) fn finish(sql: &impl Sql, class: Class, ask: &Restore) -> Result<Json, MatrixError> {
    let steps = usize::try_from(ask.schema).unwrap_or(usize::MAX);
    if steps == 0 || steps > class.schema.steps.len() {
        return Err(MatrixError::new(409, "TERN_NEWER_SCHEMA", "The backup is of a newer build, or of none"));
    }
    sql.transaction(|| {
        if begin(sql, class, ask)? == Stage::Waiting {
            class.schema.create_until(sql, steps)?;
            let tables = tables(sql)?;
            for table in &tables {
                sql.query(&["DELETE FROM ", &table.name].concat(), &[])?;
            }
            for number in 0..ask.number {
                insert_page(sql, &tables, &staged(sql, number)?)?;
            }
            class.schema.complete_within(sql, steps)?;
            for statement in class.restored {
                sql.query(statement, &[])?;
            }
            sql.query("DELETE FROM restored_page", &[])?;
            sql.query("UPDATE restored SET done = 1", &[])?;
        }
        Ok(json!({ "made": true }))
    })
}

/// Whether this restore has made the object, so that it may go on from where it was.
pub(super) fn wake(sql: &impl Sql, ask: &Restore) -> Result<Json, MatrixError> {
    let made = "SELECT 1 FROM restored WHERE id = +? AND done = 1";
    // Without the table there is none.
    match sql.query(made, &[ask.id.as_str().into()]) {
        Ok(rows) if !rows.is_empty() => Ok(json!({ "awake": true })),
        _ => Err(MatrixError::not_found("This restore has not made it")),
    }
}

/// Refuses an object that was there before this restore. What an earlier restore left half-done goes.
fn begin(sql: &impl Sql, class: Class, ask: &Restore) -> Result<Stage, MatrixError> {
    for statement in STAGED {
        sql.query(statement, &[])?;
    }
    let rows = sql.query("SELECT id, done FROM restored", &[])?;
    let known = rows.first().map(|row| (row.text(0) == Some(ask.id.as_str()), row.flag(1)));
    match known {
        Some((true, true)) => return Ok(Stage::Done),
        Some((true, false)) => return Ok(Stage::Waiting),
        _ => {}
    }
    if class.schema.taken(sql)? > 0 {
        return Err(MatrixError::new(409, "TERN_NOT_EMPTY", "There is something already"));
    }
    sql.query("DELETE FROM restored_page", &[])?;
    sql.query("INSERT OR REPLACE INTO restored VALUES (1, ?, 0)", &[ask.id.as_str().into()])?;
    Ok(Stage::Waiting)
}

/// The text of a page, whole.
fn staged(sql: &impl Sql, number: u64) -> Result<String, MatrixError> {
    let rows = sql.query("SELECT text FROM restored_page WHERE number = +? ORDER BY part", &[number.into()])?;
    if rows.is_empty() {
        return Err(damaged("A page is missing"));
    }
    Ok(rows.iter().filter_map(|row| row.text(0)).collect())
}

#[derive(Deserialize)]
struct Page {
    tables: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Json>>,
}

/// Names are those of the object's own tables, whatever the page says.
fn insert_page(sql: &impl Sql, tables: &[Table], text: &str) -> Result<(), MatrixError> {
    let page: Page = serde_json::from_str(text).map_err(|_| damaged("Not a page"))?;
    for part in page.tables {
        let table = tables.iter().find(|table| table.name == part.name).ok_or_else(|| damaged("No such table"))?;
        if !part.columns.iter().all(|column| table.columns.contains(column)) {
            return Err(damaged("No such column"));
        }
        insert(sql, &part)?;
    }
    Ok(())
}

fn insert(sql: &impl Sql, part: &Part) -> Result<(), MatrixError> {
    let places = vec!["?"; part.columns.len()].join(", ");
    let statement = ["INSERT INTO ", &part.name, " (", &part.columns.join(", "), ") VALUES (", &places, ")"].concat();
    for row in &part.rows {
        let values: Option<Vec<Value>> = row.iter().map(from_json).collect();
        let values = values.filter(|values| values.len() == part.columns.len());
        sql.query(&statement, &values.ok_or_else(|| damaged("Not a row"))?).map_err(refused)?;
    }
    Ok(())
}

/// A full database is ours; every other refusal is the page's.
fn refused(error: SqlError) -> MatrixError {
    if error.is_full() { error.into() } else { damaged("A row does not fit its table") }
}

fn damaged(what: &'static str) -> MatrixError {
    MatrixError::new(400, "M_BAD_JSON", what)
}

/// `text` in pieces of [`PART`] characters.
fn parts(text: &str) -> Vec<String> {
    let mut rest = text.chars();
    let piece = || Some(rest.by_ref().take(PART).collect::<String>()).filter(|piece| !piece.is_empty());
    std::iter::from_fn(piece).collect()
}
