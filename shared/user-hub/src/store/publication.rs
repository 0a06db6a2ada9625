//! How far the copy of the public keys is behind.

use tern_ports::{Row, Sql, SqlError};

/// The table.
pub(crate) const TABLES: &[&str] = &[
    // At most one row: how often the public keys changed, and up to which change the storage worker is known to have them.
    "CREATE TABLE IF NOT EXISTS publication (
        id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, published INTEGER NOT NULL
    ) STRICT",
];

/// Versions of the public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    /// Of the keys as they are.
    pub(crate) version: u64,
    /// Of the copy; it may be newer.
    pub(crate) published: u64,
}

/// `None` when there never was anything to copy.
pub(crate) fn read(sql: &impl Sql) -> Result<Option<Publication>, SqlError> {
    let rows = sql.query("SELECT version, published FROM publication", &[])?;
    let publication = |row: &Row| Some(Publication { version: row.int(0)?, published: row.int(1)? });
    Ok(rows.first().and_then(publication))
}

/// The public keys changed.
pub(crate) fn due(sql: &impl Sql) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO publication (id, version, published) VALUES (1, 1, 0)
         ON CONFLICT DO UPDATE SET version = version + 1",
        &[],
    )?;
    Ok(())
}

/// The copy is at least this new.
pub(crate) fn done(sql: &impl Sql, version: u64) -> Result<(), SqlError> {
    sql.query("UPDATE publication SET published = ?1 WHERE published < ?1", &[version.into()])?;
    Ok(())
}
