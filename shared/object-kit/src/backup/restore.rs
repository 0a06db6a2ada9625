//! Writing.

use serde::Deserialize;
use serde_json::{Value as Json, json};
use tern_model::MatrixError;
use tern_ports::{Sql, SqlError, Value};

use super::{
    ask::{Class, Restore},
    tables::{Table, from_json, tables},
};
use crate::schema::{NUMBER, READ_NUMBER, drop_tables};

/// How far a restore is with the object. The row stays: it tells a repeated request from one to an object that was there.
/// `done` is the number of steps that the whole object has, 0 before.
const PROGRESS: &str = "CREATE TABLE IF NOT EXISTS restored (
    one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, pages INTEGER NOT NULL, done INTEGER NOT NULL) STRICT";

/// Pages that are there, and whether they are the object.
enum Stage {
    Filling(u64),
    Done(u64),
}

/// Fills in a page, if it is the next; the answer's `next` is the one to be sent. May be repeated.
pub(super) fn fill(sql: &impl Sql, class: Class, ask: &Restore, page: &str) -> Result<Json, MatrixError> {
    sql.transaction(|| {
        let next = match begin(sql, class, ask)? {
            Stage::Filling(next) if next == ask.number => {
                insert_page(sql, &tables(sql)?, page)?;
                take_no_step(sql, class)?;
                sql.query("UPDATE restored SET pages = +?", &[next.saturating_add(1).into()])?;
                next.saturating_add(1)
            }
            Stage::Filling(pages) | Stage::Done(pages) => pages,
        };
        Ok(json!({ "next": next }))
    })
}

/// Makes the object of its pages, or nothing; it sleeps. May be repeated.
pub(super) fn finish(sql: &impl Sql, class: Class, ask: &Restore) -> Result<Json, MatrixError> {
    sql.transaction(|| {
        if let Stage::Filling(pages) = begin(sql, class, ask)? {
            if pages == 0 || pages != ask.number {
                return Err(damaged("A page is missing"));
            }
            class.schema.complete_within(sql, steps(class, ask)?)?;
            for statement in class.restored {
                sql.query(statement, &[])?;
            }
            take_no_step(sql, class)?;
            let all = u64::try_from(class.schema.steps.len()).unwrap_or(u64::MAX);
            sql.query("UPDATE restored SET done = +?", &[all.into()])?;
        }
        Ok(json!({ "made": true }))
    })
}

/// Has an object that this restore has made go on from where it was. May be repeated.
pub(super) fn wake(sql: &impl Sql, class: Class, ask: &Restore) -> Result<Json, MatrixError> {
    sql.transaction(|| {
        let made = "SELECT done FROM restored WHERE id = +? AND done > 0";
        // Without the table there is none.
        let made = sql.query(made, &[ask.id.as_str().into()]).ok().and_then(|rows| rows.first()?.int(0));
        let steps = made.ok_or_else(|| MatrixError::not_found("This restore has not made it"))?;
        if class.schema.taken(sql)? == 0 {
            sql.query(class.schema.write, &[steps.into()])?;
        }
        Ok(json!({ "awake": true }))
    })
}

/// Refuses an object that was there before this restore. What an earlier restore left half-done goes.
fn begin(sql: &impl Sql, class: Class, ask: &Restore) -> Result<Stage, MatrixError> {
    let steps = steps(class, ask)?;
    sql.query(PROGRESS, &[])?;
    let rows = sql.query("SELECT id, pages, done FROM restored", &[])?;
    let known =
        rows.first().map(|row| (row.text(0) == Some(ask.id.as_str()), row.int(1).unwrap_or_default(), row.flag(2)));
    match known {
        Some((true, pages, true)) => return Ok(Stage::Done(pages)),
        Some((true, pages, false)) => return Ok(Stage::Filling(pages)),
        Some((false, _, true)) => return Err(not_empty()),
        None if class.schema.taken(sql)? > 0 => return Err(not_empty()),
        Some((false, _, false)) | None => {}
    }
    drop_tables(sql)?;
    class.schema.create_until(sql, steps)?;
    // A step may have put rows there, which are in the pages as well.
    for table in tables(sql)? {
        sql.query(&["DELETE FROM ", &table.name].concat(), &[])?;
    }
    if class.schema.read == READ_NUMBER {
        sql.query(NUMBER, &[])?;
    }
    take_no_step(sql, class)?;
    sql.query(PROGRESS, &[])?;
    sql.query("INSERT INTO restored VALUES (1, ?, 0, 0)", &[ask.id.as_str().into()])?;
    Ok(Stage::Filling(0))
}

/// The class sees nothing yet. Where the number is in a row of the class's own, that row comes with a page.
fn take_no_step(sql: &impl Sql, class: Class) -> Result<(), SqlError> {
    sql.query(class.schema.write, &[0_u64.into()]).map(|_| ())
}

/// The steps that the object had taken.
fn steps(class: Class, ask: &Restore) -> Result<usize, MatrixError> {
    let steps = usize::try_from(ask.schema).ok().filter(|steps| (1..=class.schema.steps.len()).contains(steps));
    steps.ok_or_else(|| MatrixError::new(409, "TERN_NEWER_SCHEMA", "The backup is of a newer build, or of none"))
}

fn not_empty() -> MatrixError {
    MatrixError::new(409, "TERN_NOT_EMPTY", "There is something already")
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
    let statement =
        ["INSERT OR REPLACE INTO ", &part.name, " (", &part.columns.join(", "), ") VALUES (", &places, ")"].concat();
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
