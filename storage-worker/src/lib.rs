//! The private worker that owns D1 and R2: the events and the adapters to D1 and R2. Reached only through the service
//! binding of the proxy; all it does is in `tern-storage`, which also runs natively.
//!
//! Two crates, because Cargo gives the files of a `cdylib` no name of their own for each set of features: nothing that is
//! built in several ways may depend on one.

#![cfg(target_arch = "wasm32")]

mod d1;
mod media;
mod metrics;
mod object_sql;
mod r2;

use tern_model::Millis;
use tern_ports::{meter::METRICS_HEADER, wire::media::COMMAND_HEADER};
use tern_storage::{
    ShardMap, Storage,
    commands::{
        clients,
        levels::{self, CLOSED_ABOVE, MAX_BYTES},
        server_keys,
    },
};
use worker::{Context, Env, Method, Request, Response, Result, ScheduleContext, ScheduledEvent, console_error, event};

thread_local! {
    /// What this isolate knows of the shard map.
    static SHARDS: &'static ShardMap = Box::leak(Box::default());
}

/// A frame in, a frame out; with the frame in a header, content beside it. Only the service binding leads here, so nothing
/// else needs an answer.
#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _context: Context) -> Result<Response> {
    if request.method() != Method::Post {
        return Response::error("Not found", 404);
    }
    if let Some(command) = request.headers().get(COMMAND_HEADER)? {
        return media::answer(&request, &command, env).await;
    }
    if let Some(question) = request.headers().get(METRICS_HEADER)? {
        return metrics::pass_on(request, &question, env).await;
    }
    let frame = request.bytes().await?;
    let storage = Storage { databases: d1::Bindings(env), shards: SHARDS.with(|shards| *shards) };
    Response::from_bytes(storage.answer(&frame).await)
}

/// From time to time: deletes what nobody can see any more.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let now = Millis(worker::Date::now().as_millis());
    if let Err(error) = clients::expire(&d1::Bindings(env.clone()), now).await {
        console_error!("sweep of clients: {error}");
    }
    if let Err(error) = server_keys::expire(&d1::Bindings(env.clone()), now).await {
        console_error!("sweep of server keys: {error}");
    }
    measure(&d1::Bindings(env.clone()), now).await;
    if let Err(error) = media::sweep(env).await {
        console_error!("sweep: {error}");
    }
}

/// Notes how full the databases are, and says so in the log long before one is.
async fn measure(databases: &d1::Bindings, now: Millis) {
    match levels::measure(databases, now).await {
        Ok(full) => {
            for (database, bytes) in full {
                let (name, percent) = (database.name(), bytes * 100 / MAX_BYTES);
                let what = if bytes > CLOSED_ABOVE { "takes no new rooms" } else { "fills up" };
                console_error!("{name} {what}: {percent} % full; add a shard (README.md, \"Shards\")");
            }
        }
        Err(error) => console_error!("levels: {error}"),
    }
}
