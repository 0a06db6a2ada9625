//! Shell of the one-time store's actor. Object name: what it guards.

use std::rc::Rc;

use tern_small_objects::one_time_store::OneTimeStoreActor;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Class, Object, build, delete_when_over, serve_object, started};
use crate::cf::host::Host;

const CLASS: Class = Class { name: "gate", backup: None };

/// One thing that must be exact and does not last.
#[durable_object(alarm)]
pub struct Gate {
    object: Object<OneTimeStoreActor<Host>>,
    state: Rc<State>,
}

impl DurableObject for Gate {
    fn new(state: State, env: Env) -> Self {
        let state = Rc::new(state);
        let object = build(&state, &env, |host, _, _| Ok(OneTimeStoreActor::new(host)));
        Self { object, state }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        serve_object(&CLASS, &self.object, request, async |actor, command| actor.handle(command).await).await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        delete_when_over(CLASS.name, &self.state, started(&self.object)?.1.is_over().await).await
    }
}
