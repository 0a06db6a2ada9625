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

/// How many filters there are, and their bytes.
pub(crate) fn held(sql: &impl Sql) -> Result<(u64, u64), SqlError> {
    let rows = sql.query("SELECT count(*), coalesce(sum(length(CAST(content AS BLOB))), 0) FROM filter", &[])?;
    Ok(rows.first().and_then(|row| Some((row.int(0)?, row.int(1)?))).unwrap_or_default())
}
