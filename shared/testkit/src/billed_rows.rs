//! Rows as the platform bills them: one for each row of a table that a statement changes, and one for each entry that it
//! makes in another index of the table. A deletion is one row whatever the indexes, and so are a row of a full-text index
//! and a change of the schema.

use std::collections::BTreeSet;

use rusqlite::Connection;

/// What a statement writes for each row that it changes.
#[derive(Debug)]
pub(crate) struct Billing {
    /// The statement, which also returns in its last columns whether partial indexes have the row.
    pub(crate) sql: String,
    /// How many such columns there are.
    pub(crate) partial: usize,
    /// Entries in other indexes, whatever the row.
    pub(crate) entries: u64,
    /// The statement changes the schema, so nothing that was known of it is true any more.
    pub(crate) schema: bool,
}

impl Billing {
    /// What a statement will write.
    pub(crate) fn of(connection: &Connection, sql: &str) -> rusqlite::Result<Self> {
        let plain = |schema| Self { sql: sql.to_owned(), partial: 0, entries: 0, schema };
        let (table, set) = match Write::of(sql) {
            Write::Insert(table) => (table, None),
            Write::Update(table) => (table, Some(assigned(sql))),
            Write::Schema => return Ok(plain(true)),
            Write::Nothing => return Ok(plain(false)),
        };
        let mut touched = indexes(connection, table)?;
        touched.retain(|index| set.as_ref().is_none_or(|set| index.is_touched_by(set)));
        let entries = touched.iter().filter(|index| index.predicate.is_none()).count() as u64;
        let predicates: Vec<_> = touched.into_iter().filter_map(|index| index.predicate).collect();
        let mut billing = Self { entries, partial: predicates.len(), ..plain(false) };
        for (number, predicate) in predicates.iter().enumerate() {
            let returns = number > 0 || words(sql).any(|word| word.eq_ignore_ascii_case("RETURNING"));
            let joint = if returns { "," } else { " RETURNING" };
            billing.sql.extend([joint, " (", predicate, ")"]);
        }
        Ok(billing)
    }
}

/// What kind of statement it is, and of which table.
enum Write<'a> {
    Insert(&'a str),
    Update(&'a str),
    Schema,
    /// Nothing that has entries in other indexes: a read, or a deletion.
    Nothing,
}

impl<'a> Write<'a> {
    fn of(sql: &'a str) -> Self {
        let mut words = words(sql);
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_str() {
                "CREATE" | "ALTER" | "DROP" => return Self::Schema,
                "DELETE" => return Self::Nothing,
                "INTO" => return words.next().map_or(Self::Nothing, |table| Self::Insert(named(table))),
                "UPDATE" => {
                    let table = words.find(|word| !["OR", "REPLACE", "IGNORE"].contains(word));
                    return table.map_or(Self::Nothing, |table| Self::Update(named(table)));
                }
                _ => {}
            }
        }
        Self::Nothing
    }
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split_whitespace()
}

/// A table's name, without the columns that may follow it.
fn named(word: &str) -> &str {
    word.split('(').next().unwrap_or(word)
}

/// The columns that an `UPDATE` assigns.
pub fn assigned(sql: &str) -> BTreeSet<String> {
    let mut depth = 0_i32;
    let mut assigns = false;
    let mut clause = String::new();
    for word in words(sql) {
        match word.to_ascii_uppercase().as_str() {
            "SET" if depth == 0 => assigns = true,
            "WHERE" | "FROM" | "RETURNING" if depth == 0 => assigns = false,
            _ if assigns => {
                clause.push(' ');
                // Commas inside of brackets part nothing.
                clause.extend(word.chars().filter(|part| {
                    depth += i32::from(*part == '(') - i32::from(*part == ')');
                    depth == 0
                }));
            }
            _ => depth += bracket_balance(word),
        }
    }
    clause.split(',').filter_map(|item| Some(item.split_once('=')?.0.trim().to_owned())).collect()
}

fn bracket_balance(word: &str) -> i32 {
    word.chars().map(|part| i32::from(part == '(') - i32::from(part == ')')).sum()
}

/// An index beside the table itself.
struct Index {
    /// Its columns; without a name where it is of an expression.
    columns: Vec<Option<String>>,
    /// Which rows it has, when it does not have all.
    predicate: Option<String>,
    /// Columns that are reckoned from others.
    generated: bool,
}

impl Index {
    /// SQLite writes an index anew when one of its columns is assigned, whether or not to another value.
    fn is_touched_by(&self, set: &BTreeSet<String>) -> bool {
        let assigned = |column: &Option<String>| column.as_ref().is_none_or(|column| set.contains(column));
        let asks = |predicate: &String| words(predicate).any(|word| set.contains(word));
        self.generated || self.columns.iter().any(assigned) || self.predicate.as_ref().is_some_and(asks)
    }
}

fn indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    let mut list = connection.prepare_cached(
        "SELECT i.name, (SELECT sql FROM sqlite_master m WHERE m.type = 'index' AND m.name = i.name)
         FROM pragma_index_list(?1) i WHERE i.origin <> 'pk' OR (SELECT wr FROM pragma_table_list(?1)) = 0",
    )?;
    let found = list.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(String, Option<String>)> = found.collect::<Result<_, _>>()?;
    found.into_iter().map(|(name, sql)| index(connection, table, &name, sql.as_deref())).collect()
}

fn index(connection: &Connection, table: &str, name: &str, sql: Option<&str>) -> rusqlite::Result<Index> {
    let mut columns = connection.prepare_cached("SELECT name FROM pragma_index_info(?1)")?;
    let columns = columns.query_map([name], |row| row.get(0))?.collect::<Result<Vec<Option<String>>, _>>()?;
    let mut reckoned = connection.prepare_cached("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (2, 3)")?;
    let reckoned = reckoned.query_map([table], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let generated = columns.iter().flatten().any(|column| reckoned.contains(column));
    let predicate = sql.and_then(|sql| Some(sql.split_once(" WHERE ")?.1.to_owned()));
    Ok(Index { columns, predicate, generated })
}
