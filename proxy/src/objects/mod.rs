//! The Durable Object classes: shells that decode a frame, call the actor, encode its reply.

mod destination;
mod gate;
mod handoff;
mod relay;
mod room;
mod service;
mod user;

use std::{future::Future, rc::Rc};

use serde::de::DeserializeOwned;
use tern_model::{Config, MatrixError};
use tern_object_kit::backup;
use tern_ports::{Clock as _, ObjectHost as _, wire::frame};
use worker::{Env, Error, Request, Response, State};

use crate::{
    cf::{host::Host, wire::SPENT_HEADER},
    edge,
    edge::reach,
};

/// An actor and its host; an object whose configuration is broken answers every request with the reason.
type Object<A> = Result<(Rc<Host>, A), String>;

/// What a class of objects is called in the log, and how it is backed up, if anything of it lasts.
struct Class {
    name: &'static str,
    backup: Option<backup::Class>,
}

/// An object that was restored is woken after so many milliseconds: by then it has left memory, and is built anew.
const WAKE_AFTER_MS: u64 = 15_000;

/// Builds an object: `actor` gets the host, the configuration and the object's name.
fn build<A>(
    state: &Rc<State>,
    env: &Env,
    actor: impl FnOnce(Rc<Host>, Rc<Config>, String) -> Result<A, String>,
) -> Object<A> {
    let name = state.id().name().ok_or("the object was not addressed by name")?;
    let config = edge::config(env).map_err(|error| error.to_string())?;
    let host = Host::of(Rc::clone(state), env, reach(&config)).map_err(|error| error.to_string())?;
    let host = Rc::new(host);
    Ok((Rc::clone(&host), actor(host, config, name)?))
}

/// The object, unless its start was broken: that is an error of the platform.
fn started<A>(object: &Object<A>) -> worker::Result<&(Rc<Host>, A)> {
    object.as_ref().map_err(|reason| Error::RustError(reason.clone()))
}

/// Has an object answer a request whose body is a command. The body is not held while others are asked.
async fn serve_object<A, C: DeserializeOwned>(
    class: &Class,
    object: &Object<A>,
    mut request: Request,
    handle: impl AsyncFnOnce(&A, C) -> Vec<u8>,
) -> worker::Result<Response> {
    let (host, actor) = started(object)?;
    let bytes = request.bytes().await?;
    serve_command(class, host, asks_cost(&request), bytes, async |command, bytes| {
        drop(bytes);
        Response::from_bytes(handle(actor, command).await)
    })
    .await
}

/// Answers one command, with what the object spent meanwhile beside it when that was `asked` for.
async fn serve_command<C: DeserializeOwned>(
    class: &Class,
    host: &Host,
    asked: bool,
    bytes: Vec<u8>,
    handle: impl AsyncFnOnce(C, Vec<u8>) -> worker::Result<Response>,
) -> worker::Result<Response> {
    metered(host, asked, async {
        if let Some(reply) = answer_backup(host, class, &bytes).await {
            return Response::from_bytes(reply);
        }
        match frame::read(&bytes) {
            Ok(command) => handle(command, bytes).await,
            Err(error) => {
                worker::console_error!("{}: {error}", class.name);
                Response::from_bytes(frame::write_reply::<()>(&Err(MatrixError::from(error))))
            }
        }
    })
    .await
}

/// Answers what every class answers alike.
async fn answer_backup(host: &Host, class: &Class, bytes: &[u8]) -> Option<Vec<u8>> {
    let answered = backup::answer(host.sql(), class.backup, || host.version(), bytes)?;
    if answered.wake {
        host.set_alarm(host.now().plus(WAKE_AFTER_MS)).await;
    }
    Some(answered.reply)
}

/// The alarm of an object that keeps nothing once it is over.
async fn delete_when_over(class: &str, state: &State, is_over: Result<bool, MatrixError>) -> worker::Result<Response> {
    match is_over {
        Ok(true) => state.storage().delete_all().await?,
        Ok(false) => {}
        Err(error) => worker::console_error!("{class}: {error}"),
    }
    Response::empty()
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
