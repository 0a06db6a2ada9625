//! Reading.

use serde_json::{Value, json};
use tern_model::MatrixError;
use tern_ports::{Row, Sql, SqlError};

use super::{
    ask::{Class, Export, PAGE},
    tables::{Table, tables, written},
};

/// Bytes that a value takes in any case, so that a page of many short ones does not fill the memory.
const PLACE: usize = 8;

/// The page that is asked for. What is not there is `{"absent": true}` and is not made; `{"unchanged": true}` answers a
/// first page of a version that is known, and `{"changed": true}` a later one of a version that is gone.
pub(super) fn page(sql: &impl Sql, class: Class, version: &str, ask: &Export) -> Result<Value, MatrixError> {
    let first = ask.table.is_none();
    let same = ask.version.as_ref().is_some_and(|known| known.as_str() == version);
    if !class.schema.renew(sql)? {
        return Ok(json!({ "absent": true }));
    }
    match (first, same) {
        (true, true) => Ok(json!({ "unchanged": true })),
        (false, false) => Ok(json!({ "changed": true })),
        _ => {
            let (read, next) = read(sql, ask)?;
            let schema = class.schema.steps.len();
            Ok(json!({ "version": version, "schema": schema, "tables": read, "next": next }))
        }
    }
}

/// Tables with rows from where the page starts, and where the next one does.
fn read(sql: &impl Sql, ask: &Export) -> Result<(Vec<Value>, Option<Value>), SqlError> {
    let (mut left, mut read) = (PAGE, Vec::new());
    let start = ask.table.as_ref().map_or("", |table| table.as_str());
    for table in tables(sql)?.iter().filter(|table| table.name.as_str() >= start) {
        let mut offset = if table.name == start { ask.offset } else { 0 };
        let (mut rows, mut most_rows) = (Vec::new(), 16_u64);
        loop {
            let (part, bytes) = part(sql, table, (left, most_rows), offset)?;
            if part.is_empty() {
                break;
            }
            // Long rows are read a few at a time: what a page has no room for is read in vain.
            most_rows = (most_rows * 2).min(1_024);
            offset = offset.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            left = left.saturating_sub(bytes);
            rows.extend(part);
            if left == 0 {
                read.push(shown(table, &rows));
                return Ok((read, Some(json!({ "table": table.name, "offset": offset }))));
            }
        }
        if !rows.is_empty() {
            read.push(shown(table, &rows));
        }
    }
    Ok((read, None))
}

fn shown(table: &Table, rows: &[Value]) -> Value {
    json!({ "name": table.name, "columns": table.columns, "rows": rows })
}

/// Rows from `offset` on, until they have `most` bytes or are so many; at least one if there is one. The order is that of the table's own
/// key, since nothing is written between the pages of a version.
fn part(sql: &impl Sql, table: &Table, most: (u64, u64), offset: u64) -> Result<(Vec<Value>, u64), SqlError> {
    let columns = table.list();
    let octets: Vec<_> =
        table.columns.iter().map(|column| ["coalesce(length(CAST(", column, " AS BLOB)), 0)"].concat()).collect();
    let query = [
        "SELECT ",
        &columns,
        ", octets FROM (SELECT *, sum(octets) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM (SELECT ",
        &columns,
        ", ",
        &table.columns.len().saturating_mul(PLACE).to_string(),
        " + ",
        &octets.join(" + "),
        " AS octets FROM ",
        &table.name,
        " LIMIT +? OFFSET +?)) WHERE total - octets < +?",
    ];
    let rows = sql.query(&query.concat(), &[most.1.into(), offset.into(), most.0.into()])?;
    let mut bytes: u64 = 0;
    let measured = |mut row: Row| {
        bytes = bytes.saturating_add(row.int(table.columns.len()).unwrap_or_default());
        row.0.truncate(table.columns.len());
        written(row)
    };
    let rows = rows.into_iter().map(measured).collect();
    Ok((rows, bytes))
}
