//! Stored filters.

use tern_model::RawJson;
use tern_ports::{Sql, SqlError};

pub(crate) fn read(sql: &impl Sql, filter_id: &str) -> Result<Option<RawJson>, SqlError> {
    let rows = sql.query("SELECT content FROM filter WHERE filter_id = ?", &[filter_id.into()])?;
    Ok(rows.first().and_then(|row| RawJson::parse(row.string(0)?).ok()))
}

pub(crate) fn add(sql: &impl Sql, filter_id: &str, content: &RawJson) -> Result<(), SqlError> {
    sql.query("INSERT INTO filter (filter_id, content) VALUES (?, ?)", &[filter_id.into(), content.text().into()])?;
    Ok(())
}

pub(crate) fn count(sql: &impl Sql) -> Result<u64, SqlError> {
    let rows = sql.query("SELECT count(*) FROM filter", &[])?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
}
