//! Shell of the relay actor. Object name: the room id and the branches that lead to it.

use std::rc::Rc;

use tern_model::MatrixError;
use tern_ports::wire::frame;
use tern_small_objects::relay::RelayActor;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{asks_cost, broken, metered, parts};
use crate::cf::host::Host;

/// Tells many hubs the same. Keeps nothing.
#[durable_object(fetch)]
pub struct Relay {
    actor: Result<(Rc<Host>, RelayActor<Host>), String>,
}

impl DurableObject for Relay {
    fn new(state: State, env: Env) -> Self {
        let actor = parts(&Rc::new(state), &env).map(|(host, config, name)| {
            let actor = RelayActor::new(Rc::clone(&host), name, config.limits.relay_above);
            (host, actor)
        });
        Self { actor }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let (host, actor) = self.actor.as_ref().map_err(|reason| broken(reason))?;
        let asked = asks_cost(&request);
        // Not held while others are asked.
        let command = frame::read(&request.bytes().await?);
        metered(host, asked, async {
            let reply = match command {
                Ok(command) => actor.handle(command).await,
                Err(error) => {
                    worker::console_error!("relay: {error}");
                    frame::write_reply::<()>(&Err(MatrixError::from(error)))
                }
            };
            Response::from_bytes(reply)
        })
        .await
    }
}
