//! Shell of the one-time store's actor. Object name: what it guards.

use std::rc::Rc;

use tern_model::MatrixError;
use tern_ports::wire::frame;
use tern_small_objects::one_time_store::OneTimeStoreActor;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{broken, parts};
use crate::cf::host::Host;

/// One thing that must be exact and does not last.
#[durable_object(alarm)]
pub struct Gate {
    actor: Result<OneTimeStoreActor<Host>, String>,
    state: Rc<State>,
}

impl DurableObject for Gate {
    fn new(state: State, env: Env) -> Self {
        let state = Rc::new(state);
        let actor = parts(&state, &env).map(|(host, _, _)| OneTimeStoreActor::new(host));
        Self { actor, state }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let actor = self.actor.as_ref().map_err(|reason| broken(reason))?;
        let reply = match frame::read(&request.bytes().await?) {
            Ok(command) => actor.handle(command).await,
            Err(error) => {
                worker::console_error!("gate: {error}");
                frame::write_reply::<()>(&Err(MatrixError::from(error)))
            }
        };
        Response::from_bytes(reply)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let actor = self.actor.as_ref().map_err(|reason| broken(reason))?;
        match actor.is_over().await {
            Ok(true) => self.state.storage().delete_all().await?,
            Ok(false) => {}
            Err(error) => worker::console_error!("gate: {error}"),
        }
        Response::empty()
    }
}
