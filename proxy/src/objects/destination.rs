//! Shell of the actor of another server. Object name: the server's name, in small letters.

use std::rc::Rc;

use tern_object_kit::backup;
use tern_small_objects::destination::{DestinationActor, RESTORED, SCHEMA};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Class, Object, build, serve_object, started};
use crate::cf::host::Host;

const CLASS: Class = Class { name: "destination", backup: Some(backup::Class { schema: &SCHEMA, restored: RESTORED }) };

/// Asks another server, and keeps what it is to be sent.
#[durable_object(alarm)]
pub struct Destination {
    object: Object<Rc<DestinationActor<Host>>>,
}

impl DurableObject for Destination {
    fn new(state: State, env: Env) -> Self {
        let object = build(&Rc::new(state), &env, |host, config, name| DestinationActor::new(host, config, &name));
        Self { object }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        serve_object(&CLASS, &self.object, request, async |actor, command| actor.handle(command).await).await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        started(&self.object)?.1.alarm().await;
        Response::empty()
    }
}
