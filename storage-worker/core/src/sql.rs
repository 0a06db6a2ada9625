//! The databases as the commands see them.

use std::future::Future;

use tern_model::MatrixError;
use tern_ports::{Row, SqlError, Value};

/// One of the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Database {
    /// What must be unique across the server.
    Global,
    /// Events of the rooms that were placed there.
    Shard(u8),
}

impl Database {
    /// Its binding: `GLOBAL`, or `EV_00` for shard 0.
    pub fn name(self) -> String {
        match self {
            Self::Global => "GLOBAL".to_owned(),
            Self::Shard(shard) => format!("EV_{shard:02}"),
        }
    }
}

/// One statement with positional parameters.
///
/// Result columns need names of their own (`AS`): D1 hands rows over as objects, in which equal names collapse. Lists
/// travel as one JSON parameter, read by `json_each`, because a statement takes at most 100 parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The text.
    pub sql: &'static str,
    /// For `?1`, `?2`, …
    pub params: Vec<Value>,
}

impl Statement {
    /// A statement and its parameters.
    pub fn new(sql: &'static str, params: impl Into<Vec<Value>>) -> Self {
        Self { sql, params: params.into() }
    }
}

/// Runs batches.
pub trait Databases {
    /// Runs `statements` in order so that all take effect or none does; the rows of each, in the same order.
    fn batch(
        &self,
        database: Database,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Vec<Row>>, SqlError>>;

    /// How many shards there are, from 0 on.
    fn shards(&self) -> u8;

    /// Bytes of a database.
    fn size(&self, database: Database) -> impl Future<Output = Result<u64, SqlError>>;
}

impl<D: Databases> Databases for &D {
    fn batch(
        &self,
        database: Database,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Vec<Row>>, SqlError>> {
        (**self).batch(database, statements)
    }

    fn shards(&self) -> u8 {
        (**self).shards()
    }

    fn size(&self, database: Database) -> impl Future<Output = Result<u64, SqlError>> {
        (**self).size(database)
    }
}

/// Runs a batch of a fixed number of statements. A database that fails or cannot be reached is a 503, one that is full a 507:
/// whatever was asked may be asked again.
pub(crate) async fn run<const N: usize>(
    databases: &impl Databases,
    database: Database,
    statements: [Statement; N],
) -> Result<[Vec<Row>; N], MatrixError> {
    let rows = run_all(databases, database, statements.into()).await?;
    rows.try_into().map_err(|_| MatrixError::unavailable())
}

/// As [`run`], for a number of statements that depends on the command.
pub(crate) async fn run_all(
    databases: &impl Databases,
    database: Database,
    statements: Vec<Statement>,
) -> Result<Vec<Vec<Row>>, MatrixError> {
    databases
        .batch(database, statements)
        .await
        .map_err(|error| if error.is_full() { MatrixError::storage_full() } else { MatrixError::unavailable() })
}

/// A list as one parameter.
pub(crate) fn json_list<T: serde::Serialize + ?Sized>(list: &T) -> Result<Value, MatrixError> {
    serde_json::to_string(list).map(Value::Text).map_err(|_| MatrixError::internal())
}
