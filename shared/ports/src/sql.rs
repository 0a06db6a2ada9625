//! Synchronous SQL, as a Durable Object's SQLite offers it.

use tern_model::Bounded;

/// A bound parameter or a column. Integers stay below 2^53, since they cross JavaScript numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// INTEGER.
    Int(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<const N: usize> From<Bounded<N>> for Value {
    fn from(value: Bounded<N>) -> Self {
        Self::Text(value.into_string())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row, by position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The text in column `index`; `None` for NULL and for every other type.
    pub fn text(&self, index: usize) -> Option<&str> {
        match self.0.get(index) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The owned text in column `index`.
    pub fn string(&self, index: usize) -> Option<String> {
        self.text(index).map(str::to_owned)
    }

    /// As [`Self::string`], without a copy: the column is NULL from then on.
    pub fn take_string(&mut self, index: usize) -> Option<String> {
        let value = self.0.get_mut(index).filter(|value| matches!(value, Value::Text(_)))?;
        match std::mem::replace(value, Value::Null) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer in column `index`, when it is not negative. JavaScript hands integers over as reals.
    pub fn int(&self, index: usize) -> Option<u64> {
        match self.0.get(index) {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole and in range, as checked"
            )]
            Some(Value::Real(real)) if real.fract() == 0.0 && (0.0..9.0e15).contains(real) => Some(*real as u64),
            _ => None,
        }
    }

    /// Column `index` as a truth value: a non-zero integer.
    pub fn flag(&self, index: usize) -> bool {
        self.int(index).is_some_and(|number| number != 0)
    }

    /// The bytes in column `index`.
    pub fn blob(&self, index: usize) -> Option<&[u8]> {
        match self.0.get(index) {
            Some(Value::Blob(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

/// The database refused a statement: ours, never the client's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sql: {0}")]
pub struct SqlError(pub String);

impl SqlError {
    /// The database has no room left (`SQLITE_FULL`), in the words of SQLite or of D1.
    pub fn is_full(&self) -> bool {
        ["SQLITE_FULL", "database or disk is full", "Exceeded maximum DB size"].iter().any(|said| self.0.contains(said))
    }
}

impl From<SqlError> for tern_model::MatrixError {
    fn from(error: SqlError) -> Self {
        if error.is_full() { Self::storage_full() } else { Self::internal() }
    }
}

/// A SQLite database that answers at once.
pub trait Sql {
    /// Runs one statement with positional `?` parameters and returns its rows.
    ///
    /// Statements are kept prepared, but SQLite plans one anew with every use when its plan may depend on the number that a
    /// parameter stands for. It thinks so of `LIMIT ?`, and of `column = ?` wherever it could also do without an index on
    /// that column, whatever is bound; planning takes longer than most statements. `+?` is the same value, and no reason.
    ///
    /// # Errors
    /// When the statement or a constraint fails; its own effects are undone.
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, SqlError>;

    /// Runs `work` so that all its statements take effect or none does. Not nested.
    ///
    /// # Errors
    /// The error of `work`, after everything it wrote was undone.
    fn transaction<T, E: From<SqlError>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E>;

    /// Rows written so far in this instance, index rows included: what the platform bills.
    fn rows_written(&self) -> u64;
}
