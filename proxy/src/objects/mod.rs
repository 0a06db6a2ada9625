//! The Durable Object classes: shells that decode a frame, call the actor, encode its reply.

mod gate;
mod handoff;
mod relay;
mod room;
mod user;

use std::{future::Future, rc::Rc};

use tern_model::Config;
use worker::{Env, Error, Request, Response, State};

use crate::{
    cf::{host::Host, wire::SPENT_HEADER},
    edge,
};

/// What an actor is built from; an object whose configuration is broken answers every request with the reason.
type Parts = Result<(Rc<Host>, Rc<Config>, String), String>;

/// The host, the configuration and the object's name.
fn parts(state: &Rc<State>, env: &Env) -> Parts {
    let name = state.id().name().ok_or("the object was not addressed by name")?;
    let host = Host::of(Rc::clone(state), env).map_err(|error| error.to_string())?;
    let config = edge::config(env).map_err(|error| error.to_string())?;
    Ok((Rc::new(host), config, name))
}

/// Turns a broken start into a platform error.
fn broken(reason: &str) -> Error {
    Error::RustError(reason.to_owned())
}

/// Whether a request asks what it costs.
fn asks_cost(request: &Request) -> bool {
    request.headers().has(SPENT_HEADER).unwrap_or(false)
}

/// Answers, with what the object spent meanwhile beside it when that was `asked` for. Requests that are served side by
/// side are in each other's figures.
async fn metered(
    host: &Host,
    asked: bool,
    work: impl Future<Output = worker::Result<Response>>,
) -> worker::Result<Response> {
    if !asked {
        return work.await;
    }
    let before = host.spent();
    let response = work.await?;
    response.headers().set(SPENT_HEADER, &(host.spent() - before).text())?;
    Ok(response)
}
