//! Shell of the relay actor. Object name: the room id and the branches that lead to it.

use std::rc::Rc;

use tern_small_objects::relay::RelayActor;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Class, Object, build, serve_object};
use crate::cf::host::Host;

const CLASS: Class = Class { name: "relay", backup: None };

/// Tells many hubs the same. Keeps nothing.
#[durable_object(fetch)]
pub struct Relay {
    object: Object<RelayActor<Host>>,
}

impl DurableObject for Relay {
    fn new(state: State, env: Env) -> Self {
        let object = build(&Rc::new(state), &env, |host, config, name| {
            Ok(RelayActor::new(host, name, config.limits.relay_above))
        });
        Self { object }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        serve_object(&CLASS, &self.object, request, async |actor, command| actor.handle(command).await).await
    }
}
