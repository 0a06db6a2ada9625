//! Entering rooms by their ids or aliases, here or through other servers.

use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId, RoomId};
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{Clock, Outbound, Transport};

use crate::{
    federation::{
        joining::{self, Join},
        key_cache::KeyCache,
        leaving,
    },
    join::{self, MembershipChange, content_of},
};

/// Joins a room that is named by its id or an alias: here, or through one of these servers. Returns the room's id.
///
/// # Errors
/// The room's refusal; as [`joining::join`] and [`joining::resolve`].
pub async fn join<E: Transport + Clock + Outbound>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    (name, via): (&str, Vec<OwnedServerName>),
    change: MembershipChange<'_>,
) -> Result<OwnedRoomId, MatrixError> {
    let (room_id, via) = find(edge, config, name, via).await?;
    let Some(content) = here(edge, config, &room_id, change).await? else { return Ok(room_id) };
    let elsewhere = Join { user_id: change.caller, room_id: &room_id, content: &content, via: &via };
    if !joining::join(edge, config, cache, elsewhere).await? {
        join::change(edge, config, &room_id, change).await?;
    }
    Ok(room_id)
}

/// Knocks at a room, as [`join()`] joins one.
///
/// # Errors
/// The room's refusal; as [`leaving::knock`] and [`joining::resolve`].
pub async fn knock<E: Transport + Clock + Outbound>(
    edge: &E,
    config: &Config,
    (name, via): (&str, Vec<OwnedServerName>),
    change: MembershipChange<'_>,
) -> Result<OwnedRoomId, MatrixError> {
    let (room_id, via) = find(edge, config, name, via).await?;
    let Some(content) = here(edge, config, &room_id, change).await? else { return Ok(room_id) };
    leaving::knock(edge, config, (&room_id, change.caller), (&content, &via)).await?;
    Ok(room_id)
}

/// Enters a room here. Where it is not, what the event says by which it is entered through another server.
async fn here<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    room_id: &RoomId,
    change: MembershipChange<'_>,
) -> Result<Option<RawJson>, MatrixError> {
    match join::change(edge, config, room_id, change).await {
        Err(error) if error.status == 404 => content_of(edge, change).await.map(Some),
        changed => changed.map(|()| None),
    }
}

/// The room, and servers through which it can be entered.
async fn find<E: Transport + Outbound>(
    edge: &E,
    config: &Config,
    name: &str,
    mut via: Vec<OwnedServerName>,
) -> Result<(OwnedRoomId, Vec<OwnedServerName>), MatrixError> {
    match RoomAliasId::parse(name) {
        Ok(alias) if alias.server_name() != config.server_name => {
            let (room_id, servers) = joining::resolve(edge, config, &alias).await?;
            via.extend(servers);
            Ok((room_id, via))
        }
        _ => Ok((join::resolve(edge, config, name).await?, via)),
    }
}
