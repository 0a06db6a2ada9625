//! An object's SQLite, by rusqlite.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
    rc::Rc,
};

use rusqlite::{Connection, StatementStatus, limits::Limit, types::ValueRef};
use tern_ports::{Row, Sql, SqlError, Value, platform_limits::check_statement};

use crate::billed_rows::Billing;

/// What the platform allows (Durable Objects and D1 alike) beyond `platform_limits`; the first is also that of a whole row.
const LIMITS: [(Limit, i32); 7] = [
    (Limit::SQLITE_LIMIT_LENGTH, 2_000_000),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
];

/// Times that a statement may be planned anew: a change of the schema does that.
const PLANS: u32 = 3;

/// The greatest integer that survives JavaScript.
const GREATEST_INTEGER: u64 = 1 << 53;

/// A SQLite database with the platform's limits.
///
/// Writes stay undone until [`Sqlite::make_durable`], as a Durable Object's do until its output gate opens:
/// [`Sqlite::crash`] loses the rest. `rows_written` counts as the platform bills (`billed_rows`).
///
/// A statement that SQLite plans anew with every use is refused ([`Sql::query`] says which those are).
pub struct Sqlite {
    connection: RefCell<Connection>,
    in_transaction: Cell<bool>,
    statements: Cell<u64>,
    steps: Cell<u64>,
    rows_written: Cell<u64>,
    /// What statements write, as long as the schema is the same.
    billings: RefCell<BTreeMap<String, Rc<Billing>>>,
    /// How often statements were planned anew; nothing where that is nobody's concern.
    planned: Option<RefCell<BTreeMap<String, u32>>>,
    /// Where the database is full.
    most_pages: Cell<Option<u64>>,
}

impl Sqlite {
    /// An empty database in memory.
    ///
    /// # Panics
    /// When SQLite cannot start.
    pub fn memory() -> Self {
        Self::start(Connection::open_in_memory().expect("SQLite opens in memory"))
    }

    /// The database in a file, made when there is none.
    ///
    /// # Panics
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Self {
        Self::start(Connection::open(path).expect("SQLite opens the file"))
    }

    fn start(connection: Connection) -> Self {
        for (limit, value) in LIMITS {
            connection.set_limit(limit, value).expect("the limit is known");
        }
        connection.set_prepared_statement_cache_capacity(256);
        run(&connection, "PRAGMA foreign_keys = ON");
        run(&connection, "BEGIN");
        Self {
            connection: RefCell::new(connection),
            in_transaction: Cell::new(false),
            statements: Cell::new(0),
            steps: Cell::new(0),
            rows_written: Cell::new(0),
            billings: RefCell::default(),
            planned: Some(RefCell::default()),
            most_pages: Cell::new(None),
        }
    }

    /// As D1, which plans each statement anew anyway.
    #[must_use]
    pub fn planning(self) -> Self {
        Self { planned: None, ..self }
    }

    fn note_plans(&self, sql: &str, times: i32) -> Result<(), SqlError> {
        let (Some(planned), true) = (&self.planned, times > 0) else { return Ok(()) };
        let mut planned = planned.borrow_mut();
        let times = planned.entry(sql.to_owned()).or_default();
        *times += 1;
        if *times > PLANS {
            return Err(SqlError(format!("planned anew with every use, write +?: {sql}")));
        }
        Ok(())
    }

    /// Runs a script of several statements, a migration for instance.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn script(&self, sql: &str) {
        self.billings.take();
        self.connection.borrow().execute_batch(sql).expect("the script runs");
    }

    /// Makes everything written so far survive a crash.
    ///
    /// # Panics
    /// Inside a transaction.
    pub fn make_durable(&self) {
        assert!(!self.in_transaction.get(), "a turn ends outside of transactions");
        let connection = self.connection.borrow();
        run(&connection, "COMMIT");
        run(&connection, "BEGIN");
    }

    /// Loses everything written since the last [`Sqlite::make_durable`].
    pub fn crash(&self) {
        self.billings.take();
        let connection = self.connection.borrow();
        run(&connection, "ROLLBACK");
        run(&connection, "BEGIN");
        self.in_transaction.set(false);
    }

    /// The result columns of a statement, by name.
    ///
    /// # Errors
    /// When the statement is not valid.
    pub fn columns(&self, sql: &str) -> Result<Vec<String>, SqlError> {
        let connection = self.connection.borrow();
        let statement = connection.prepare_cached(sql).map_err(refused)?;
        Ok(statement.column_names().map(str::to_owned).collect())
    }

    /// How SQLite means to run a statement: one line per step.
    ///
    /// # Errors
    /// When the statement is not valid.
    pub fn plan(&self, sql: &str) -> Result<Vec<String>, SqlError> {
        let connection = self.connection.borrow();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).map_err(refused)?;
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().map_err(refused)? {
            steps.push(row.get(3).map_err(refused)?);
        }
        Ok(steps)
    }

    /// The tables that hold a text somewhere.
    ///
    /// # Panics
    /// When a table cannot be read.
    pub fn find_text(&self, text: &str) -> Vec<String> {
        let tables = self.query("SELECT name FROM sqlite_master WHERE type = 'table'", &[]);
        let names = tables.expect("the schema can be read").into_iter().filter_map(|row| row.string(0));
        let holds = |name: &String| {
            let rows = self.query(&format!("SELECT * FROM {name}"), &[]).expect("the table can be read");
            let mut values = rows.iter().flat_map(|row| &row.0);
            values.any(|value| matches!(value, Value::Text(held) if held.contains(text)))
        };
        names.filter(holds).collect()
    }

    /// Bytes of the database.
    ///
    /// # Panics
    /// When SQLite does not know.
    pub fn bytes(&self) -> u64 {
        self.pragma("page_count") * self.pragma("page_size")
    }

    /// Lets the database use so many pages more than it does, or any number: then statements that write are refused as by a
    /// full database, all but deletions.
    ///
    /// # Panics
    /// When SQLite does not know.
    pub fn bound(&self, pages: Option<u64>) {
        self.most_pages.set(pages.map(|pages| self.used_pages() + pages));
    }

    fn used_pages(&self) -> u64 {
        self.pragma("page_count") - self.pragma("freelist_count")
    }

    fn pragma(&self, name: &str) -> u64 {
        let connection = self.connection.borrow();
        let number: i64 = connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).expect("a number");
        u64::try_from(number).unwrap_or_default()
    }

    fn billing(&self, connection: &Connection, sql: &str) -> Result<Rc<Billing>, SqlError> {
        if let Some(billing) = self.billings.borrow().get(sql) {
            return Ok(Rc::clone(billing));
        }
        let billing = Rc::new(Billing::of(connection, sql).map_err(refused)?);
        self.billings.borrow_mut().insert(sql.to_owned(), Rc::clone(&billing));
        Ok(billing)
    }

    fn refuse_when_full(&self, sql: &str) -> Result<(), SqlError> {
        let deletes = || sql.trim_start().starts_with("DELETE");
        match self.most_pages.get() {
            Some(most) if !deletes() && self.used_pages() > most => {
                Err(SqlError("database or disk is full: SQLITE_FULL".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Statements run so far.
    pub fn statements(&self) -> u64 {
        self.statements.get()
    }

    /// Steps of SQLite's virtual machine so far: how much was looked at, whatever came of it.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }
}

impl Sql for Sqlite {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, SqlError> {
        self.statements.set(self.statements.get() + 1);
        refuse_control(sql)?;
        check_statement(sql, params)?;
        let connection = self.connection.borrow();
        let billing = self.billing(&connection, sql)?;
        let mut statement = connection.prepare_cached(&billing.sql).map_err(refused)?;
        if !statement.readonly() {
            self.refuse_when_full(sql)?;
        }
        let width = statement.column_count() - billing.partial;
        for (index, param) in params.iter().enumerate() {
            bind(&mut statement, index + 1, param)?;
        }
        if statement.parameter_count() != params.len() {
            return Err(SqlError("wrong number of parameters".to_owned()));
        }
        let mut rows = statement.raw_query();
        let (mut all, mut partial) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(refused)? {
            for index in width..width + billing.partial {
                partial += u64::from(row.get::<_, Option<bool>>(index).map_err(refused)?.unwrap_or_default());
            }
            if width == 0 {
                continue;
            }
            let columns = (0..width).map(|index| row.get_ref(index).map_err(refused).and_then(column));
            all.push(Row(columns.collect::<Result<_, _>>()?));
        }
        drop(rows);
        let steps = u64::try_from(statement.reset_status(StatementStatus::VmStep)).unwrap_or_default();
        self.steps.set(self.steps.get() + steps);
        self.note_plans(sql, statement.reset_status(StatementStatus::RePrepare))?;
        if !statement.readonly() {
            let rows = if billing.schema { 1 } else { connection.changes() * (1 + billing.entries) + partial };
            self.rows_written.set(self.rows_written.get() + rows);
        }
        if billing.schema {
            self.billings.take();
        }
        Ok(all)
    }

    fn transaction<T, E: From<SqlError>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.in_transaction.replace(true) {
            return Err(SqlError("transactions do not nest".to_owned()).into());
        }
        run(&self.connection.borrow(), "SAVEPOINT work");
        let result = work();
        if result.is_err() {
            self.billings.take();
            run(&self.connection.borrow(), "ROLLBACK TO work");
        }
        run(&self.connection.borrow(), "RELEASE work");
        self.in_transaction.set(false);
        result
    }

    fn rows_written(&self) -> u64 {
        self.rows_written.get()
    }
}

fn run(connection: &Connection, sql: &str) {
    connection.execute_batch(sql).expect("SQLite controls its transaction");
}

#[expect(clippy::needless_pass_by_value, reason = "used as a map_err function")]
fn refused(error: rusqlite::Error) -> SqlError {
    SqlError(error.to_string())
}

/// The platform keeps transactions and settings to itself.
fn refuse_control(sql: &str) -> Result<(), SqlError> {
    let word = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let controls = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "ATTACH", "VACUUM"];
    if controls.contains(&word.as_str()) {
        return Err(SqlError(format!("{word} is not allowed on the platform")));
    }
    Ok(())
}

fn bind(statement: &mut rusqlite::Statement<'_>, index: usize, value: &Value) -> Result<(), SqlError> {
    let bound = match value {
        Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
        Value::Int(number) if number.unsigned_abs() > GREATEST_INTEGER => {
            return Err(SqlError("integers stay within 2^53".to_owned()));
        }
        // JavaScript has no integers: the platform binds every number as REAL.
        #[expect(clippy::cast_precision_loss, reason = "within 2^53, as checked")]
        Value::Int(number) => statement.raw_bind_parameter(index, *number as f64),
        Value::Real(number) => statement.raw_bind_parameter(index, number),
        Value::Text(text) => statement.raw_bind_parameter(index, text),
        Value::Blob(bytes) => statement.raw_bind_parameter(index, bytes),
    };
    bound.map_err(refused)
}

fn column(value: ValueRef<'_>) -> Result<Value, SqlError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|error| SqlError(error.to_string()))?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}
