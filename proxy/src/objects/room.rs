//! Shell of the room actor. Object name: the room id.

use std::rc::Rc;

use ruma::OwnedRoomId;
use tern_model::MatrixError;
use tern_ports::wire::frame;
use tern_room_hub::RoomActor;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{asks_cost, broken, metered, parts};
use crate::cf::host::Host;

/// One room.
#[durable_object(alarm)]
pub struct RoomHub {
    actor: Result<(Rc<Host>, Rc<RoomActor<Host>>), String>,
}

impl DurableObject for RoomHub {
    fn new(state: State, env: Env) -> Self {
        let actor = parts(&Rc::new(state), &env).and_then(|(host, config, name)| {
            let room_id = OwnedRoomId::try_from(name).map_err(|error| error.to_string())?;
            Ok((Rc::clone(&host), Rc::new(RoomActor::new(host, config, room_id))))
        });
        Self { actor }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let (host, actor) = self.actor.as_ref().map_err(|reason| broken(reason))?;
        let asked = asks_cost(&request);
        let bytes = request.bytes().await?;
        metered(host, asked, async {
            let reply = match frame::read(&bytes) {
                Ok(command) => actor.handle(command).await,
                Err(error) => {
                    worker::console_error!("room hub: {error}");
                    frame::write_reply::<()>(&Err(MatrixError::from(error)))
                }
            };
            Response::from_bytes(reply)
        })
        .await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.actor.as_ref().map_err(|reason| broken(reason))?.1.alarm().await;
        Response::empty()
    }
}
