//! The tables of an object as its database names them, and how values travel.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Value as Json, json};
use tern_ports::{Row, Sql, SqlError, Value};

/// A table and its columns, without those that SQLite computes.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// What the platform and SQLite keep for themselves is left out, and so is how many steps were taken, which travels beside the
/// pages, and what a restore leaves.
const TABLES: &str = "SELECT m.name, i.name FROM sqlite_master m JOIN pragma_table_info(m.name) i \
     WHERE m.type = 'table' AND substr(m.name, 1, 4) <> '_cf_' AND substr(m.name, 1, 7) <> 'sqlite_' \
     AND m.name NOT IN ('schema', 'restored') ORDER BY m.name, i.cid";

/// All tables, by name.
pub(super) fn tables(sql: &impl Sql) -> Result<Vec<Table>, SqlError> {
    let mut tables: Vec<Table> = Vec::new();
    for row in sql.query(TABLES, &[])? {
        let (Some(name), Some(column)) = (row.string(0), row.string(1)) else { continue };
        match tables.last_mut().filter(|table| table.name == name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name, columns: vec![column] }),
        }
    }
    Ok(tables)
}

impl Table {
    /// The columns, for a statement.
    pub(super) fn list(&self) -> String {
        self.columns.join(", ")
    }
}

/// A row as JSON.
pub(super) fn written(row: Row) -> Json {
    row.0.into_iter().map(to_json).collect()
}

fn to_json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(number) => number.into(),
        Value::Real(number) => from_real(number),
        Value::Text(text) => text.into(),
        Value::Blob(bytes) => json!({ "b": STANDARD_NO_PAD.encode(bytes) }),
    }
}

/// JavaScript hands integers over as reals.
#[expect(clippy::cast_possible_truncation, reason = "whole and in range, as checked")]
fn from_real(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() < 9.0e15 { (number as i64).into() } else { number.into() }
}

/// A value out of JSON; `None` for what no value is written as.
pub(super) fn from_json(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => Value::Null,
        Json::Number(number) => number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Real))?,
        Json::String(text) => Value::Text(text.clone()),
        Json::Object(_) => Value::Blob(STANDARD_NO_PAD.decode(value.get("b")?.as_str()?).ok()?),
        Json::Bool(_) | Json::Array(_) => return None,
    })
}
