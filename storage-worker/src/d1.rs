//! `Databases` over the D1 bindings.

use tern_ports::{Row, SqlError, Value, platform_limits::check_statement};
use tern_storage::{Database, Databases, Statement};
use worker::{
    Env, console_error,
    js_sys::{Array, JsString, Object},
    wasm_bindgen::{JsCast, JsValue},
    wasm_bindgen_futures::JsFuture,
    worker_sys::types,
};

/// The bindings of `wrangler/storage-worker.jsonc`.
pub(crate) struct Bindings(pub(crate) Env);

impl Databases for Bindings {
    async fn batch(&self, database: Database, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, SqlError> {
        let name = binding(database);
        let result = self.run(&name, statements).await;
        // The message names tables and columns, never values.
        if let Err(error) = &result {
            console_error!("{name}: {error}");
        }
        result
    }
}

impl Bindings {
    async fn run(&self, name: &str, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, SqlError> {
        let database = self.0.d1(name).map_err(|error| SqlError(error.to_string()))?;
        // Below the worker crate's own wrapper, which would deserialise each row by field name.
        let database: types::D1Database = JsValue::from(database).unchecked_into();
        let prepared = Array::new();
        for statement in statements {
            prepared.push(&prepare(&database, &statement)?);
        }
        let promise = database.batch(prepared).map_err(refused)?;
        let results = JsFuture::from(promise).await.map_err(refused)?;
        results.unchecked_into::<Array>().iter().map(rows).collect()
    }
}

fn binding(database: Database) -> String {
    match database {
        Database::Global => "GLOBAL".to_owned(),
        Database::Shard(shard) => format!("EV_{shard:02}"),
    }
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
