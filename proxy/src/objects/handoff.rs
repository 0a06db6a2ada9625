//! Shell of the device sign-in's actor. Object name: what is handed over, and a random part.

use std::rc::Rc;

use tern_small_objects::device_sign_in::DeviceSignInActor;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Class, Object, build, delete_when_over, serve_object, started};
use crate::cf::host::Host;

const CLASS: Class = Class { name: "handoff", backup: None };

/// Something between two devices, for some minutes.
#[durable_object(alarm)]
pub struct Handoff {
    object: Object<DeviceSignInActor<Host>>,
    state: Rc<State>,
}

impl DurableObject for Handoff {
    fn new(state: State, env: Env) -> Self {
        let state = Rc::new(state);
        let object = build(&state, &env, |host, _, _| Ok(DeviceSignInActor::new(host)));
        Self { object, state }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        serve_object(&CLASS, &self.object, request, async |actor, command| actor.handle(command).await).await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        delete_when_over(CLASS.name, &self.state, started(&self.object)?.1.is_over().await).await
    }
}
