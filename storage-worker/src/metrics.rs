//! The object that keeps what requests cost, and the way to it. There is one, by the name [`NAME`].

use tern_model::Millis;
use tern_ports::{meter::METRICS_HEADER, wire::troubles::ListTroubles};
use tern_storage::{
    Storage,
    commands::troubles,
    metrics::{MOST_TROUBLES, Question, answer},
};
use worker::{
    DurableObject, Env, Headers, Method, Request, RequestInit, Response, ResponseBuilder, Result, State, console_error,
    durable_object, js_sys::Uint8Array,
};

use crate::{SHARDS, d1::Bindings, object_sql::ObjectSql};

const NAME: &str = "metrics";

/// Host name of internal requests; never resolved.
const INTERNAL: &str = "https://tern/";

/// Passes a question on to the object; to whoever looks, with the servers that fail, which only the databases know.
pub(crate) async fn pass_on(mut request: Request, question: &str, env: Env) -> Result<Response> {
    let body = match Question::parse(question) {
        Some(Question::Record) => request.bytes().await?,
        Some(_) => failing(&env).await,
        None => return Response::error("Unknown question", 400),
    };
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(Uint8Array::from(&*body).into()));
    init.headers.set(METRICS_HEADER, question)?;
    let object = env.durable_object("METRICS")?.get_by_name(NAME)?;
    object.fetch_with_request(Request::new_with_init(INTERNAL, &init)?).await
}

/// The servers that fail, as JSON; nothing where the database does not tell.
async fn failing(env: &Env) -> Vec<u8> {
    let storage = Storage { databases: Bindings(env.clone()), shards: SHARDS.with(|shards| *shards) };
    match troubles::list_as_json(&storage, ListTroubles { after: None, limit: MOST_TROUBLES }).await {
        Ok(json) => json,
        Err(error) => {
            console_error!("metrics: {error}");
            Vec::new()
        }
    }
}

/// Keeps what requests cost.
#[durable_object(fetch)]
pub struct Metrics {
    sql: ObjectSql,
}

impl DurableObject for Metrics {
    fn new(state: State, _env: Env) -> Self {
        Self { sql: ObjectSql::of(&state.storage()) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let question = request.headers().get(METRICS_HEADER)?.unwrap_or_default();
        let body = request.bytes().await?;
        let reply = answer(&self.sql, Millis(worker::Date::now().as_millis()), &question, &body);
        if reply.status >= 400 {
            console_error!("metrics: {}", reply.body);
        }
        let headers = Headers::new();
        if !reply.content_type.is_empty() {
            headers.set("content-type", reply.content_type)?;
        }
        if let Some(policy) = &reply.policy {
            headers.set("content-security-policy", policy)?;
        }
        let builder = ResponseBuilder::new().with_status(reply.status).with_headers(headers);
        // A status without a body must not have an empty one either.
        Ok(if reply.status == 204 { builder.empty() } else { builder.fixed(reply.body.into_bytes()) })
    }
}
