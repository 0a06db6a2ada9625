//! The public edge worker: HTTP in, Durable Objects behind, nothing decided here.
//!
//! A request is matched by `router`, its caller established by `identity`, its handler found in `routes` by the
//! endpoint's name, and the result written by `respond`. The rules are in `shared`: a handler decodes, calls one flow
//! or asks one hub, and encodes. `objects` hosts the actors of the object crates; `pages` is what people
//! see in a browser. `cf` is the only module that knows how
//! Cloudflare calls things.

mod cf;
mod edge;
mod form;
mod identity;
mod limits;
mod metrics;
mod objects;
mod pages;
mod query;
mod request;
mod respond;
mod route;
mod route_table;
mod router;
mod routes;
mod text;
mod trace;

use std::rc::Rc;

use worker::{Context, Env, Request, Response, event};

/// Every HTTP request starts here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let reader = respond::Reader::of(&request)?;
    let edge = match edge::Edge::of(&env, Rc::new(context)) {
        Ok(edge) => edge,
        Err(error) => {
            worker::console_error!("configuration: {error}");
            // Without a body, so that no client takes it for a judgement on its session.
            return respond::write(Ok(respond::Answer::bare(503).with_header("retry-after", "60")), &reader, None);
        }
    };
    let watch = trace::Watch::begin(&edge, &request);
    let result = router::serve(&edge, request).await;
    let timing = watch.end(&edge, respond::status(&result), respond::length(&result));
    respond::write(result, &reader, timing)
}
