//! Shell of the device sign-in's actor. Object name: what is handed over, and a random part.

use std::rc::Rc;

use tern_model::MatrixError;
use tern_ports::wire::frame;
use tern_small_objects::device_sign_in::DeviceSignInActor;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::broken;
use crate::cf::host::Host;

/// Something between two devices, for some minutes.
#[durable_object(alarm)]
pub struct Handoff {
    actor: Result<DeviceSignInActor<Host>, String>,
    state: Rc<State>,
}

impl DurableObject for Handoff {
    fn new(state: State, env: Env) -> Self {
        let state = Rc::new(state);
        let host = Host::of(Rc::clone(&state), &env).map_err(|error| error.to_string());
        Self { actor: host.map(|host| DeviceSignInActor::new(Rc::new(host))), state }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let actor = self.actor.as_ref().map_err(|reason| broken(reason))?;
        let reply = match frame::read(&request.bytes().await?) {
            Ok(command) => actor.handle(command).await,
            Err(error) => {
                worker::console_error!("handoff: {error}");
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
            Err(error) => worker::console_error!("handoff: {error}"),
        }
        Response::empty()
    }
}
