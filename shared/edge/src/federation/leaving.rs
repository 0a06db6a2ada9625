//! Leaving and knocking at rooms of other servers in which nobody of this server is (Server-Server API, "Leaving Rooms
//! (Rejecting Invites)", "Knocking upon a room").

use ruma::{OwnedServerName, RoomId, UserId};
use serde::Deserialize;
use tern_model::{BoundedJson, Config, EventRef, Handshake, MatrixError, RawJson};
use tern_ports::{
    Clock, Transport, ask_room, ask_user,
    wire::{
        adopt::ListResidents,
        invite::{DeliverInvite, ListInviters, RejectInvite},
    },
};

use super::{
    invite::shown,
    requests::SOON,
    through::{Deed, candidates, first, leave, make, send},
};

/// Servers that are asked, at most.
const MOST_SERVERS: usize = 3;

/// Rejects an invite or takes a knock back: the other server is told, and whether it hears of it or not, the user is out.
///
/// # Errors
/// 404 `M_NOT_FOUND` when there is neither; 503.
pub async fn reject<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    (room_id, user_id): (&RoomId, &UserId),
    content: &RawJson,
) -> Result<(), MatrixError> {
    let inviters = ask_user(edge, user_id, ListInviters { room_id: room_id.to_owned() }).await?;
    let named = inviters.iter().map(|server| &**server).chain(room_id.server_name());
    let servers = candidates(config, named, MOST_SERVERS);
    let told = first(servers, async |server| leave(edge, config, (room_id, user_id), (&server, content)).await);
    drop(told.await);
    ask_user(edge, user_id, RejectInvite { room_id: room_id.to_owned(), withdrawal: None }).await.map(drop)
}

/// Knocks, through one of these servers or those that are known to be in the room.
///
/// # Errors
/// The first refusal of a server; 404 `M_NOT_FOUND` when none is known; 502; 503.
pub async fn knock<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    (room_id, user_id): (&RoomId, &UserId),
    (content, via): (&RawJson, &[OwnedServerName]),
) -> Result<(), MatrixError> {
    let residents = ask_room(edge, room_id, ListResidents { user_id: user_id.to_owned() }).await?;
    let named = via.iter().chain(&*residents).map(|server| &**server).chain(room_id.server_name());
    let servers = candidates(config, named, MOST_SERVERS);
    let deed = Deed { handshake: Handshake::Knock, user_id, room_id, content };
    first(servers, async |server| {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            knock_room_state: Vec<RawJson>,
        }
        let made = make(edge, config, deed, &server).await?;
        let Answer { knock_room_state } = send(edge, deed, &made, (&server, SOON.1)).await?;
        let deliver = DeliverInvite {
            room_id: room_id.to_owned(),
            event_id: EventRef::new(made.event.id().to_owned())?,
            ts: made.event.ts(),
            event: BoundedJson::new(made.event.raw().clone())?,
            stripped: shown(&knock_room_state, &made.event)?,
            knock: true,
        };
        ask_user(edge, user_id, deliver).await.map(drop)
    })
    .await
}
