//! A Durable Object's SQLite as the `Sql` port.

use std::cell::Cell;

use tern_ports::{Row, Sql, SqlError, Value, platform_limits::check_statement};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{SqlStorage, SqlStorageValue, Storage, js_sys::Uint8Array};

#[wasm_bindgen]
extern "C" {
    /// The part of `DurableObjectStorage` that the `worker` crate lacks.
    type TransactionalStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &TransactionalStorage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
}

/// The SQLite of one object.
pub(crate) struct ObjectSql {
    sql: SqlStorage,
    storage: JsValue,
    written: Cell<u64>,
}

impl ObjectSql {
    /// The SQLite behind `storage`.
    pub(crate) fn of(storage: &Storage) -> Self {
        Self { sql: storage.sql(), storage: storage.as_raw().into(), written: Cell::new(0) }
    }
}

impl Sql for ObjectSql {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, SqlError> {
        check_statement(sql, params)?;
        let bindings: Vec<JsValue> = params.iter().map(binding).collect();
        let cursor = self.sql.exec_raw(sql, bindings).map_err(sql_error)?;
        let rows: Result<Vec<Row>, SqlError> = cursor
            .raw()
            .map(|row| row.map(|columns| Row(columns.into_iter().map(value).collect())).map_err(sql_error))
            .collect();
        self.written.set(self.written.get() + cursor.rows_written() as u64);
        rows
    }

    fn transaction<T, E: From<SqlError>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut work = Some(work);
        let mut outcome = None;
        let storage: &TransactionalStorage = self.storage.unchecked_ref();
        let committed = storage.transaction_sync(&mut || {
            let result = work.take().map(|work| work());
            let failed = !matches!(result, Some(Ok(_)));
            outcome = result;
            // A throw is what rolls the transaction back.
            if failed { Err(JsValue::from_str("rolled back")) } else { Ok(JsValue::UNDEFINED) }
        });
        match (outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(_)) => Ok(value),
            (_, Err(error)) => Err(SqlError(format!("transaction: {error:?}")).into()),
            (None, Ok(_)) => Err(SqlError("transaction did not run".to_owned()).into()),
        }
    }

    fn rows_written(&self) -> u64 {
        self.written.get()
    }
}

fn binding(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        #[expect(clippy::cast_precision_loss, reason = "integers stay below 2^53 by the port's contract")]
        Value::Int(number) => JsValue::from_f64(*number as f64),
        Value::Real(number) => JsValue::from_f64(*number),
        Value::Text(text) => JsValue::from_str(text),
        Value::Blob(bytes) => Uint8Array::from(bytes.as_slice()).into(),
    }
}

fn value(value: SqlStorageValue) -> Value {
    match value {
        SqlStorageValue::Null => Value::Null,
        SqlStorageValue::Boolean(flag) => Value::Int(i64::from(flag)),
        SqlStorageValue::Integer(number) => Value::Int(number),
        SqlStorageValue::Float(number) => Value::Real(number),
        SqlStorageValue::String(text) => Value::Text(text),
        SqlStorageValue::Blob(bytes) => Value::Blob(bytes),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a map_err function")]
fn sql_error(error: worker::Error) -> SqlError {
    SqlError(error.to_string())
}
