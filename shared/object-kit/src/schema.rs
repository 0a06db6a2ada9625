//! Versions of the tables in an object's own SQLite.
//!
//! The tables come to be in steps, and a step that was released is never changed: what is new is a further step. How many
//! were taken is stored beside the tables, so an object made by an earlier build takes the missing ones when it is next
//! built, all in one transaction, and one that is up to date pays one read.

use tern_ports::{Sql, SqlError};

/// A step: its statements, in order.
pub type Step = &'static [&'static str];

/// The tables of one class of objects.
pub struct Schema {
    /// All steps, oldest first.
    pub steps: &'static [Step],
    /// Reads the number of steps taken; fails where no number is stored.
    pub read: &'static str,
    /// Stores it.
    pub write: &'static str,
    /// What the first builds, which stored no number, can be told by: a question per step, with an answer where it was
    /// taken.
    pub signs: &'static [&'static str],
}

/// The number's own table.
pub const NUMBER: &str =
    "CREATE TABLE IF NOT EXISTS schema (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL) STRICT";

/// [`Schema::read`] and [`Schema::write`] for [`NUMBER`].
pub const READ_NUMBER: &str = "SELECT version FROM schema";
pub const WRITE_NUMBER: &str = "INSERT INTO schema VALUES (1, ?) ON CONFLICT DO UPDATE SET version = excluded.version";

impl Schema {
    /// Brings tables that are there up to date; false when there are none. Fails while a restored object is not woken.
    pub fn renew(&self, sql: &impl Sql) -> Result<bool, SqlError> {
        let taken = self.taken(sql)?;
        if taken == 0 {
            left_behind(sql)?;
        } else if taken < self.steps.len() {
            sql.transaction(|| self.take(sql, taken))?;
        }
        Ok(taken > 0)
    }

    /// Makes the tables, or what is missing of them.
    pub fn create(&self, sql: &impl Sql) -> Result<(), SqlError> {
        let taken = self.taken(sql)?;
        if taken < self.steps.len() { sql.transaction(|| self.take(sql, taken)) } else { Ok(()) }
    }

    /// Makes all tables, inside the caller's transaction.
    pub fn create_within(&self, sql: &impl Sql) -> Result<(), SqlError> {
        self.take(sql, 0)
    }

    /// Makes the tables as they were after `steps` steps, inside the caller's transaction.
    pub fn create_until(&self, sql: &impl Sql, steps: usize) -> Result<(), SqlError> {
        for statement in self.steps.iter().take(steps).copied().flatten() {
            sql.query(statement, &[])?;
        }
        Ok(())
    }

    /// Takes the steps that are missing after `taken`, inside the caller's transaction.
    pub fn complete_within(&self, sql: &impl Sql, taken: usize) -> Result<(), SqlError> {
        self.take(sql, taken)
    }

    /// How many steps an object has taken.
    pub fn taken(&self, sql: &impl Sql) -> Result<usize, SqlError> {
        if let Ok(rows) = sql.query(self.read, &[]) {
            let number = rows.first().and_then(|row| usize::try_from(row.int(0)?).ok());
            return number.ok_or_else(|| SqlError("the number of the schema is damaged".to_owned()));
        }
        for (taken, sign) in self.signs.iter().enumerate() {
            if sql.query(sign, &[])?.is_empty() {
                return Ok(taken);
            }
        }
        Ok(self.signs.len())
    }

    fn take(&self, sql: &impl Sql, taken: usize) -> Result<(), SqlError> {
        // A restore that was given up (`crate::backup`) may have left tables.
        if taken == 0 && left_behind(sql)? == LeftBehind::Half {
            drop_tables(sql)?;
        }
        for statement in self.steps.iter().skip(taken).copied().flatten() {
            sql.query(statement, &[])?;
        }
        let all = u64::try_from(self.steps.len()).unwrap_or(u64::MAX);
        sql.query(self.write, &[all.into()])?;
        Ok(())
    }
}

/// What a restore has left of an object.
#[derive(PartialEq, Eq)]
enum LeftBehind {
    Nothing,
    Half,
}

const BEGUN: &str = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'restored'";

/// Asked where no step is taken; fails where a whole object sleeps, which is neither absent nor anybody's to replace.
fn left_behind(sql: &impl Sql) -> Result<LeftBehind, SqlError> {
    if sql.query(BEGUN, &[])?.is_empty() {
        return Ok(LeftBehind::Nothing);
    }
    if sql.query("SELECT 1 FROM restored WHERE done > 0", &[])?.is_empty() {
        Ok(LeftBehind::Half)
    } else {
        Err(SqlError("a restored object is in place".to_owned()))
    }
}

const OURS: &str = "SELECT name FROM sqlite_master \
     WHERE type = 'table' AND substr(name, 1, 4) <> '_cf_' AND substr(name, 1, 7) <> 'sqlite_'";

/// Leaves the object without a table, inside the caller's transaction.
pub(crate) fn drop_tables(sql: &impl Sql) -> Result<(), SqlError> {
    for name in sql.query(OURS, &[])?.iter().filter_map(|row| row.text(0)) {
        sql.query(&["DROP TABLE ", name].concat(), &[])?;
    }
    Ok(())
}
