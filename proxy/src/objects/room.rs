//! Shell of the room actor. Object name: the room id.

use std::rc::Rc;

use ruma::OwnedRoomId;
use tern_object_kit::backup;
use tern_room_hub::{RESTORED, RoomActor, SCHEMA};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Class, Object, build, serve_object, started};
use crate::cf::host::Host;

const CLASS: Class = Class { name: "room hub", backup: Some(backup::Class { schema: &SCHEMA, restored: RESTORED }) };

/// One room.
#[durable_object(alarm)]
pub struct RoomHub {
    object: Object<Rc<RoomActor<Host>>>,
}

impl DurableObject for RoomHub {
    fn new(state: State, env: Env) -> Self {
        let object = build(&Rc::new(state), &env, |host, config, name| {
            let room_id = OwnedRoomId::try_from(name).map_err(|error| error.to_string())?;
            Ok(Rc::new(RoomActor::new(host, config, room_id)))
        });
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
