//! `Databases` over the D1 bindings.

use tern_ports::{Row, SqlError, Value, platform_limits::check_statement};
use tern_storage::{Database, Databases, Statement};
use worker::{
    Env, console_error,
    js_sys::{Array, JsString, Object, Reflect},
    wasm_bindgen::{JsCast, JsValue},
    wasm_bindgen_futures::JsFuture,
    worker_sys::types,
};

/// The bindings of `wrangler/storage-worker.jsonc`.
pub(crate) struct Bindings(pub(crate) Env);

impl Databases for Bindings {
    async fn batch(&self, database: Database, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, SqlError> {
        let name = database.name();
        let result = self.run(&name, statements).await;
        // The message names tables and columns, never values.
        if let Err(error) = &result {
            console_error!("{name}: {error}");
        }
        result
    }

    /// As many as are bound without a gap.
    fn shards(&self) -> u8 {
        let bound = |shard: &u8| self.0.d1(&Database::Shard(*shard).name()).is_ok();
        u8::try_from((0..MOST_SHARDS).take_while(bound).count()).unwrap_or(MOST_SHARDS)
    }

    async fn size(&self, database: Database) -> Result<u64, SqlError> {
        let results = self.results(&database.name(), vec![Statement::new("SELECT 1 AS one", [])]).await?;
        let size = |result: JsValue| {
            let meta = result.unchecked_into::<types::D1Result>().meta().map_err(refused)?;
            let size = Reflect::get(&meta, &"size_after".into()).map_err(refused)?;
            from_number(&size).ok_or_else(|| SqlError("D1 tells no size".to_owned()))
        };
        size(results.get(0))
    }
}

/// Shards that there may be.
const MOST_SHARDS: u8 = 100;

impl Bindings {
    async fn run(&self, name: &str, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, SqlError> {
        self.results(name, statements).await?.iter().map(rows).collect()
    }

    async fn results(&self, name: &str, statements: Vec<Statement>) -> Result<Array, SqlError> {
        let database = self.0.d1(name).map_err(|error| SqlError(error.to_string()))?;
        // Below the worker crate's own wrapper, which would deserialise each row by field name.
        let database: types::D1Database = JsValue::from(database).unchecked_into();
        let prepared = Array::new();
        for statement in statements {
            prepared.push(&prepare(&database, &statement)?);
        }
        let promise = database.batch(prepared).map_err(refused)?;
        let results = JsFuture::from(promise).await.map_err(refused)?;
        Ok(results.unchecked_into::<Array>())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range, as checked")]
fn from_number(value: &JsValue) -> Option<u64> {
    value.as_f64().filter(|number| (0.0..9.0e15).contains(number)).map(|number| number as u64)
}

fn prepare(database: &types::D1Database, statement: &Statement) -> Result<JsValue, SqlError> {
    check_statement(statement.sql, &statement.params)?;
    let prepared = database.prepare(statement.sql).map_err(refused)?;
    let params: Array = statement.params.iter().map(to_js).collect();
    prepared.bind(params).map(JsValue::from).map_err(refused)
}

fn rows(result: JsValue) -> Result<Vec<Row>, SqlError> {
    let result: types::D1Result = result.unchecked_into();
    let rows = result.results().map_err(refused)?.unwrap_or_default();
    // The columns of a row object are in the order of the statement.
    Ok(rows
        .iter()
        .map(|row| Row(Object::values(row.unchecked_ref()).iter().map(|value| from_js(&value)).collect()))
        .collect())
}

#[expect(clippy::cast_precision_loss, reason = "integers in parameters stay below 2^53")]
fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Int(number) => JsValue::from_f64(*number as f64),
        Value::Real(number) => JsValue::from_f64(*number),
        Value::Text(text) => JsValue::from_str(text),
        Value::Blob(bytes) => worker::js_sys::Uint8Array::from(bytes.as_slice()).into(),
    }
}

fn from_js(value: &JsValue) -> Value {
    if let Some(number) = value.as_f64() {
        return Value::Real(number);
    }
    value.as_string().map_or(Value::Null, Value::Text)
}

fn refused(error: JsValue) -> SqlError {
    let message = error.dyn_ref::<worker::js_sys::Error>().map(|error| String::from(error.message()));
    SqlError(message.unwrap_or_else(|| JsString::from(error).into()))
}
