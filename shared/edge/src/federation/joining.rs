//! Joining rooms of other servers (Server-Server API, "Joining Rooms"): one server after the other is asked, and the room's
//! hub made of what it answers.

use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName, UserId};
use serde::Deserialize;
use tern_model::{BoundedJson, BoundedVec, Config, EventRef, Handshake, MatrixError, Name, RawJson};
use tern_ports::{
    Clock, Transport, ask_room, ask_storage, ask_user,
    wire::{
        adopt::{AdoptRoom, ListResidents, MOST_ADOPTED, MOST_ADOPTED_BYTES, WireEvent},
        invite::{Inviters, ListInviters},
        storage::RegisterRoom,
    },
};

use super::{
    directory::{self, FoundAlias},
    key_cache::KeyCache,
    requests::in_small_letters,
    room_keys,
    through::{Deed, Made, candidates, first, leave, make, send},
};

/// Servers that are asked, at most.
const MOST_SERVERS: usize = 5;

/// Who joins what.
#[derive(Clone, Copy, Debug)]
pub struct Join<'a> {
    /// The user.
    pub user_id: &'a UserId,
    /// The room.
    pub room_id: &'a RoomId,
    /// What the event says beyond the membership.
    pub content: &'a RawJson,
    /// Servers through which the room can be entered, those first that are named by the user.
    pub via: &'a [OwnedServerName],
}

/// The room behind an alias of another server, and servers through which it can be joined.
///
/// # Errors
/// 404 `M_NOT_FOUND` for one that the server does not know; 502 when it cannot be asked.
pub async fn resolve<E: Transport>(
    edge: &E,
    config: &Config,
    alias: &RoomAliasId,
) -> Result<(OwnedRoomId, Vec<OwnedServerName>), MatrixError> {
    let unknown = || MatrixError::not_found("Unknown room alias");
    let mut server = candidates(config, std::iter::once(alias.server_name()), 1);
    let server = server.pop().ok_or_else(unknown)?;
    let FoundAlias { room_id, servers } = directory::alias(edge, alias).await?;
    let others = servers.iter().filter_map(|name| in_small_letters(name.as_str()));
    Ok((room_id, std::iter::once(server).chain(others).take(MOST_SERVERS).collect()))
}

/// Joins a room that is not here, or in which nobody of this server is any more. False when somebody else of this server was
/// faster, and so the room is here.
///
/// # Errors
/// The first refusal of a server; 404 `M_NOT_FOUND` when none is known; 413 `M_TOO_LARGE` for a room that is too large; 502 when
/// what they say is no room; 503.
pub async fn join<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    join: Join<'_>,
) -> Result<bool, MatrixError> {
    let inviters = match ask_user(edge, join.user_id, ListInviters { room_id: join.room_id.to_owned() }).await {
        Err(error) if error.status == 404 => Inviters::default(),
        answered => answered?,
    };
    let residents = ask_room(edge, join.room_id, ListResidents { user_id: join.user_id.to_owned() }).await?;
    let named = join.via.iter().chain(&*inviters).chain(&*residents);
    let named = named.map(|server| &**server).chain(join.room_id.server_name());
    let servers = candidates(config, named, MOST_SERVERS);
    if servers.is_empty() {
        return Err(MatrixError::not_found("No server is known that is in the room"));
    }
    let register = RegisterRoom {
        room_id: join.room_id.to_owned(),
        creator: join.user_id.to_owned(),
        alias: None,
        public: false,
        ts: edge.now(),
    };
    ask_storage(edge, register).await?;
    first(servers, async |server| through(edge, (config, cache), join, &server).await).await
}

/// What a server says of a room that it let somebody into.
#[derive(Deserialize)]
struct Joined {
    #[serde(default)]
    event: Option<RawJson>,
    state: Vec<RawJson>,
    auth_chain: Vec<RawJson>,
}

async fn through<E: Transport + Clock>(
    edge: &E,
    (config, cache): (&Config, &KeyCache),
    join: Join<'_>,
    server: &ServerName,
) -> Result<bool, MatrixError> {
    let Join { user_id, room_id, content, .. } = join;
    let deed = Deed { handshake: Handshake::Join, user_id, room_id, content };
    let made = make(edge, config, deed, server).await?;
    let joined = match send(edge, deed, &made, (server, MOST_ADOPTED_BYTES)).await {
        Ok(joined) => adopt(edge, (config, cache), (join, server), (made, joined)).await,
        Err(error) if error.errcode == "M_TOO_LARGE" => Err(too_large()),
        // Whether it took the user in cannot be told where its answer is none.
        Err(error) if error.errcode == "M_UNKNOWN" || error.status == 504 => Err(error),
        refused => return refused.map(|_: Joined| true),
    };
    if joined.as_ref().is_err_and(|error| error.errcode == "M_ROOM_IN_USE") {
        return Ok(false);
    }
    if joined.is_err() {
        // The other server has the user in the room; as far as that can be helped, nobody stays there.
        drop(leave(edge, config, (room_id, user_id), (server, &RawJson::empty_object())).await);
    }
    joined.map(|()| true)
}

/// Has the room's hub made of what the server says.
async fn adopt<E: Transport + Clock>(
    edge: &E,
    (config, cache): (&Config, &KeyCache),
    (join, server): (Join<'_>, &ServerName),
    (made, joined): (Made, Joined),
) -> Result<(), MatrixError> {
    let Joined { event, state, auth_chain } = joined;
    let event = event.unwrap_or_else(|| made.event.raw().clone());
    let all = state.iter().chain(&auth_chain).chain([&event]);
    let keys = room_keys::keys(edge, config, (cache, server), all).await?;
    let adopt = AdoptRoom {
        version: Name::cut(made.version.id),
        user_id: join.user_id.to_owned(),
        event_id: EventRef::new(made.event.id().to_owned())?,
        event: WireEvent::new(event)?,
        state: within_bounds(state)?,
        auth_chain: within_bounds(auth_chain)?,
        keys: BoundedVec::cut(keys),
    };
    ask_room(edge, join.room_id, adopt).await.map(drop)
}

/// Events that are no longer than events are; others are left out, as all are that are no events.
fn within_bounds(events: Vec<RawJson>) -> Result<BoundedVec<WireEvent, MOST_ADOPTED>, MatrixError> {
    let events = events.into_iter().filter_map(|event| BoundedJson::new(event).ok()).collect();
    BoundedVec::new(events).map_err(|_| too_large())
}

fn too_large() -> MatrixError {
    MatrixError::too_large("The room is too large to be joined from this server")
}
