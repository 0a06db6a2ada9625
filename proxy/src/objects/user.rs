//! Shell of the user actor, and where its polls are parked. Object name: the user id.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::OwnedUserId;
use tern_flows::user::{Handled, UserActor};
use tern_model::MatrixError;
use tern_ports::wire::{frame, user::SyncStep};
use worker::{
    DurableObject, Env, Request, Response, State, WebSocket, WebSocketIncomingMessage, WebSocketPair, durable_object,
};

use super::{broken, parts};
use crate::cf::{
    host::{Host, Ticket},
    wire::COMMAND_HEADER,
};

/// One local user.
#[durable_object]
pub struct UserHub {
    actor: Result<Rc<UserActor<Host>>, String>,
    state: Rc<State>,
}

impl DurableObject for UserHub {
    fn new(state: State, env: Env) -> Self {
        let state = Rc::new(state);
        let actor = parts(&state, &env).and_then(|(host, config, name)| {
            let user_id = OwnedUserId::try_from(name).map_err(|error| error.to_string())?;
            Ok(Rc::new(UserActor::new(host, config, user_id)))
        });
        Self { actor, state }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let actor = self.actor.as_ref().map_err(|reason| broken(reason))?;
        let poll = request.headers().get(COMMAND_HEADER)?;
        let may_park = poll.is_some();
        let bytes = match poll {
            Some(text) => URL_SAFE_NO_PAD.decode(text).unwrap_or_default(),
            None => request.bytes().await?,
        };
        let handled = match frame::read(&bytes) {
            Ok(command) => actor.handle(command).await,
            Err(error) => {
                worker::console_error!("user hub: {error}");
                Handled::Reply(frame::write_reply::<()>(&Err(MatrixError::from(error))))
            }
        };
        match handled {
            Handled::Reply(reply) => Response::from_bytes(reply),
            // No await between the actor's last look and this: news cannot slip between them.
            Handled::Park { device_id, kinds } if may_park => {
                self.park(&Ticket { device_id: device_id.to_string(), kinds })
            }
            Handled::Park { kinds, .. } => Response::from_bytes(frame::write_reply(&Ok(SyncStep::Wait { kinds }))),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.actor.as_ref().map_err(|reason| broken(reason))?.alarm().await;
        Response::empty()
    }

    async fn websocket_message(&self, _socket: WebSocket, _message: WebSocketIncomingMessage) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_close(
        &self,
        _socket: WebSocket,
        _code: usize,
        _reason: String,
        _clean: bool,
    ) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_error(&self, _socket: WebSocket, _error: worker::Error) -> worker::Result<()> {
        Ok(())
    }
}

impl UserHub {
    /// Parks the poll: the object may hibernate, the socket stays.
    fn park(&self, ticket: &Ticket) -> worker::Result<Response> {
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        pair.server.serialize_attachment(ticket)?;
        Response::from_websocket(pair.client)
    }
}
