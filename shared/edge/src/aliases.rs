//! Room aliases, run in the proxy.

use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, UserId};
use serde::Deserialize;
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Transport, ask_room, ask_storage,
    wire::{
        directory::{AddAlias, CheckAliasPermission, ListAliases, LoadAlias, RemoveAlias},
        room::{Draft, ReadStateEvent, SendEvent},
    },
};
use tern_room::client::membership_of;

/// The local alias of a path parameter.
///
/// # Errors
/// 400 for what is no alias, or one of another server.
pub fn local_alias(config: &Config, text: &str) -> Result<OwnedRoomAliasId, MatrixError> {
    let alias = RoomAliasId::parse(text).map_err(|_| MatrixError::invalid_param("Not a room alias"))?;
    if alias.server_name() == config.server_name && alias.as_str().len() <= 255 {
        return Ok(alias);
    }
    Err(MatrixError::invalid_param("Not an alias of this server"))
}

/// `PUT /directory/room/{roomAlias}`: members may give their room an alias.
///
/// # Errors
/// 403 for others, 409 when the alias exists.
pub async fn add_alias<E: Transport + Clock>(
    edge: &E,
    caller: &UserId,
    alias: OwnedRoomAliasId,
    room_id: OwnedRoomId,
) -> Result<(), MatrixError> {
    let own =
        ReadStateEvent { caller: caller.to_owned(), kind: "m.room.member".to_owned(), state_key: caller.to_string() };
    let member = ask_room(edge, &room_id, own).await;
    let joined = member.map(|event| membership_of(&event).as_deref() == Some("join"));
    match joined {
        Ok(true) => {}
        Err(error) if error.status >= 500 => return Err(error),
        _ => return Err(MatrixError::forbidden("You must be in the room to give it an alias")),
    }
    ask_storage(edge, AddAlias { alias, room_id, creator: caller.to_owned(), ts: edge.now() }).await?;
    Ok(())
}

/// `DELETE /directory/room/{roomAlias}`: for who gave it, and for those who may set the room's canonical alias, from
/// which it is then taken as well. Answers with the room.
///
/// # Errors
/// 404 when there is no such alias, 403 for everybody else.
pub async fn remove_alias<E: Transport>(
    edge: &E,
    caller: &UserId,
    device_id: &ruma::DeviceId,
    alias: OwnedRoomAliasId,
) -> Result<OwnedRoomId, MatrixError> {
    let row = ask_storage(edge, LoadAlias { alias: alias.clone() }).await?;
    let row = row.ok_or_else(|| MatrixError::not_found("Unknown room alias"))?;
    let permission = ask_room(edge, &row.room_id, CheckAliasPermission { caller: caller.to_owned() }).await;
    if row.creator != *caller {
        permission.clone()?;
    }
    ask_storage(edge, RemoveAlias { alias: alias.clone(), room_id: row.room_id.clone() }).await?;
    if permission.is_ok() {
        // Best effort: the alias is gone in any case.
        let _ = forget_canonical(edge, caller, device_id, &row.room_id, &alias).await;
    }
    Ok(row.room_id)
}

/// Takes an alias out of `m.room.canonical_alias`, if it is in there.
async fn forget_canonical<E: Transport>(
    edge: &E,
    caller: &UserId,
    device_id: &ruma::DeviceId,
    room_id: &RoomId,
    alias: &RoomAliasId,
) -> Result<(), MatrixError> {
    #[derive(Deserialize)]
    struct Event {
        content: serde_json::Map<String, serde_json::Value>,
    }
    let kind = "m.room.canonical_alias".to_owned();
    let read = ReadStateEvent { caller: caller.to_owned(), kind: kind.clone(), state_key: String::new() };
    let event: Event = ask_room(edge, room_id, read).await?.read().map_err(|_| MatrixError::internal())?;
    let mut content = event.content.clone();
    if content.get("alias").and_then(|value| value.as_str()) == Some(alias.as_str()) {
        content.remove("alias");
    }
    if let Some(others) = content.get_mut("alt_aliases").and_then(|value| value.as_array_mut()) {
        others.retain(|other| other.as_str() != Some(alias.as_str()));
    }
    if content == event.content {
        return Ok(());
    }
    let content = RawJson::from_value(&content).map_err(|_| MatrixError::internal())?;
    let draft = Draft { sender: caller.to_owned(), kind, state_key: Some(String::new()), content, redacts: None };
    ask_room(
        edge,
        room_id,
        SendEvent { draft, device_id: device_id.to_owned(), txn_id: None, ts: None, sticky_ms: None },
    )
    .await?;
    Ok(())
}

/// Whether `content` may become `m.room.canonical_alias` of the room (`PUT /rooms/{roomId}/state/…`): every alias that was
/// not in there before has to be one of the room's.
///
/// # Errors
/// 400 `M_INVALID_PARAM` for what is no alias, `M_BAD_ALIAS` for one that does not exist or leads elsewhere.
pub async fn check_canonical<E: Transport>(
    edge: &E,
    caller: &UserId,
    room_id: &RoomId,
    content: &RawJson,
) -> Result<(), MatrixError> {
    #[derive(Deserialize)]
    struct Event {
        content: RawJson,
    }
    let mut new = named_aliases(content)?;
    if new.is_empty() {
        return Ok(());
    }
    let kind = "m.room.canonical_alias".to_owned();
    let read = ReadStateEvent { caller: caller.to_owned(), kind, state_key: String::new() };
    match ask_room(edge, room_id, read).await {
        Ok(event) => {
            let before = event.read::<Event>().ok().and_then(|event| named_aliases(&event.content).ok());
            new.retain(|alias| !before.iter().flatten().any(|known| known == alias));
        }
        // None was set, or the caller may not even read it: the room will say so.
        Err(error) if error.status < 500 => {}
        Err(error) => return Err(error),
    }
    if new.is_empty() {
        return Ok(());
    }
    let known = ask_storage(edge, ListAliases { room_id: room_id.to_owned() }).await?;
    match new.iter().find(|alias| !known.contains(alias)) {
        Some(alias) => Err(MatrixError::new(400, "M_BAD_ALIAS", format!("{alias} does not lead to this room"))),
        None => Ok(()),
    }
}

/// The aliases that a canonical alias event names.
fn named_aliases(content: &RawJson) -> Result<Vec<OwnedRoomAliasId>, MatrixError> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        alias: Option<String>,
        #[serde(default)]
        alt_aliases: Option<Vec<String>>,
    }
    let no_alias = || MatrixError::invalid_param("alias and alt_aliases must be room aliases");
    let Content { alias, alt_aliases } = content.read().map_err(|_| no_alias())?;
    let named = alias.filter(|alias| !alias.is_empty()).into_iter().chain(alt_aliases.into_iter().flatten());
    named.map(|alias| RoomAliasId::parse(alias).map_err(|_| no_alias())).collect()
}

/// `GET /rooms/{roomId}/aliases`: for those who may read the room's state.
///
/// # Errors
/// 403 for others.
pub async fn aliases<E: Transport>(
    edge: &E,
    caller: &UserId,
    room_id: OwnedRoomId,
) -> Result<Vec<OwnedRoomAliasId>, MatrixError> {
    let create =
        ReadStateEvent { caller: caller.to_owned(), kind: "m.room.create".to_owned(), state_key: String::new() };
    ask_room(edge, &room_id, create).await?;
    ask_storage(edge, ListAliases { room_id }).await
}
