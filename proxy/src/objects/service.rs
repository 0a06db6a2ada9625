//! Shell of the actor of an application service. Object name: the id of its registration.

use std::rc::Rc;

use tern_object_kit::backup;
use tern_small_objects::destination::{DestinationActor, RESTORED, SCHEMA};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Class, Object, build, serve_object, started};
use crate::cf::host::Host;

const CLASS: Class = Class { name: "service", backup: Some(backup::Class { schema: &SCHEMA, restored: RESTORED }) };

/// Keeps what an application service is to be sent.
#[durable_object(alarm)]
pub struct Service {
    object: Object<Rc<DestinationActor<Host>>>,
}

impl DurableObject for Service {
    fn new(state: State, env: Env) -> Self {
        Self { object: build(&Rc::new(state), &env, DestinationActor::of_service) }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        serve_object(&CLASS, &self.object, request, async |actor, command| actor.handle(command).await).await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        started(&self.object)?.1.alarm().await;
        Response::empty()
    }
}
