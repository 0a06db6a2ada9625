//! Shell of the user actor, and where its polls wait. Object name: the user id.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::OwnedUserId;
use tern_object_kit::backup;
use tern_ports::{
    Attachment,
    wire::{frame, user::SyncStep},
};
use tern_user_hub::{Handled, RESTORED, SCHEMA, UserActor};
use worker::{
    DurableObject, Env, Headers, Request, Response, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use super::{Class, Object, asks_cost, build, serve_command, started};
use crate::cf::{
    host::Host,
    wire::{COMMAND_HEADER, TIMEOUT_RESPONSE_HEADER},
};

const CLASS: Class = Class { name: "user hub", backup: Some(backup::Class { schema: &SCHEMA, restored: RESTORED }) };

/// One local user.
#[durable_object]
pub struct UserHub {
    object: Object<Rc<UserActor<Host>>>,
}

impl DurableObject for UserHub {
    fn new(state: State, env: Env) -> Self {
        let object = build(&Rc::new(state), &env, |host, config, name| {
            let user_id = OwnedUserId::try_from(name).map_err(|error| error.to_string())?;
            Ok(Rc::new(UserActor::new(host, config, user_id)))
        });
        Self { object }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let (host, actor) = started(&self.object)?;
        let poll = request.headers().get(COMMAND_HEADER)?;
        let may_hold = poll.is_some();
        let asked = asks_cost(&request);
        let bytes = match poll {
            Some(text) => URL_SAFE_NO_PAD.decode(text).unwrap_or_default(),
            None => request.bytes().await?,
        };
        serve_command(&CLASS, host, asked, bytes, async |command, bytes| {
            reply(host, actor.handle(command).await, bytes, may_hold)
        })
        .await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        started(&self.object)?.1.alarm().await;
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
        // Whoever was answered, or has waited in vain, comes back in a moment.
        if let Ok((_, actor)) = &self.object {
            actor.note_poll();
        }
        Ok(())
    }

    async fn websocket_error(&self, _socket: WebSocket, _error: worker::Error) -> worker::Result<()> {
        Ok(())
    }
}

/// Writes what came of a command; a question that has no answer yet waits, where it may be.
fn reply(host: &Host, handled: Handled, question: Vec<u8>, may_hold: bool) -> worker::Result<Response> {
    match handled {
        Handled::Reply(reply) => Response::from_bytes(reply),
        // No await between the actor's last look and this: news cannot slip between them.
        Handled::Hold { device_id, kinds, timeout_response } if may_hold => {
            let attachment = Attachment { device_id: device_id.into(), kinds, question: Some(question) };
            let headers = Headers::new();
            headers.set(TIMEOUT_RESPONSE_HEADER, &URL_SAFE_NO_PAD.encode(timeout_response.text()))?;
            Ok(Response::from_websocket(host.hold(attachment)?)?.with_headers(headers))
        }
        Handled::Hold { kinds, .. } => Response::from_bytes(frame::write_reply(&Ok(SyncStep::Wait { kinds }))),
    }
}
