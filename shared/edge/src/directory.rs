//! Aliases and the room directory, run in the proxy.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, UserId};
use serde::Deserialize;
use tern_model::{Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Transport, ask_room, ask_storage,
    wire::{
        directory::{
            AddAlias, CheckAliasPermission, Directory, DirectoryPage, IsListed, ListAliases, ListRoom, LoadAlias,
            PageDirectory, RemoveAlias, ShownRoom,
        },
        room::{Draft, ReadStateEvent, SendEvent},
    },
};
use tern_room::client::membership_of;

/// Rooms in a page of the directory, at most.
const MOST_ROOMS: u32 = 500;

/// Longest id of a network, in bytes.
const LONGEST_NETWORK: usize = 255;

/// Longest search term, in bytes.
const LONGEST_TERM: usize = 200;

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
/// which it is then taken as well.
///
/// # Errors
/// 404 when there is no such alias, 403 for everybody else.
pub async fn remove_alias<E: Transport>(
    edge: &E,
    caller: &UserId,
    device_id: &ruma::DeviceId,
    alias: OwnedRoomAliasId,
) -> Result<(), MatrixError> {
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
    Ok(())
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

/// `PUT /directory/list/room/{roomId}`: for those who may set the room's canonical alias.
///
/// # Errors
/// 403 for others, 404 for a room that is not there.
pub async fn list<E: Transport + Clock>(
    edge: &E,
    caller: &UserId,
    room_id: OwnedRoomId,
    listed: bool,
) -> Result<(), MatrixError> {
    if let Err(error) = ask_room(edge, &room_id, CheckAliasPermission { caller: caller.to_owned() }).await {
        let unknown = error.status == 403 && ask_storage(edge, IsListed { room_id }).await?.is_none();
        return Err(if unknown { unknown_room() } else { error });
    }
    ask_storage(edge, ListRoom { room_id, listed, ts: edge.now(), network: None }).await?;
    Ok(())
}

/// `PUT /directory/list/appservice/{networkId}/{roomId}`, by the service that bridges the network.
///
/// # Errors
/// 404 for a room that is not there, `M_INVALID_PARAM` for a network whose id is empty or too long.
pub async fn list_for<E: Transport + Clock>(
    edge: &E,
    service: &str,
    network: &str,
    room_id: OwnedRoomId,
    listed: bool,
) -> Result<(), MatrixError> {
    if network.is_empty() || network.len() > LONGEST_NETWORK {
        return Err(MatrixError::invalid_param("The id of the network is empty or too long"));
    }
    ask_storage(edge, IsListed { room_id: room_id.clone() }).await?.ok_or_else(unknown_room)?;
    // A service lists rooms for networks of its own only, whatever it calls them.
    let network = Some(format!("{service}|{network}"));
    ask_storage(edge, ListRoom { room_id, listed, ts: edge.now(), network }).await?;
    Ok(())
}

/// `GET /directory/list/room/{roomId}`.
///
/// # Errors
/// 404 for a room that is not there.
pub async fn is_listed<E: Transport>(edge: &E, room_id: OwnedRoomId) -> Result<bool, MatrixError> {
    ask_storage(edge, IsListed { room_id }).await?.ok_or_else(unknown_room)
}

fn unknown_room() -> MatrixError {
    MatrixError::not_found("There is no such room")
}

/// What a client asks of the directory.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `limit`.
    pub limit: Option<u64>,
    /// `since`.
    pub since: Option<String>,
    /// `generic_search_term`.
    pub term: Option<String>,
    /// `room_types`.
    pub room_types: Option<Vec<Option<String>>>,
    /// `include_all_networks` and `third_party_instance_id`.
    pub of: Directory,
}

/// A page of the directory.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The rooms.
    pub rooms: Vec<ShownRoom>,
    /// `next_batch`.
    pub next: Option<String>,
    /// `prev_batch`.
    pub prev: Option<String>,
    /// `total_room_count_estimate`.
    pub total: u64,
}

/// A page of the room directory, rooms with most members first. Tokens name the room next to which a page stands, so
/// rooms that come and go elsewhere move nothing.
///
/// # Errors
/// 400 for a token that is none.
pub async fn page<E: Transport>(edge: &E, wanted: &Wanted) -> Result<Listing, MatrixError> {
    let place = wanted.since.as_deref().map(Place::read).transpose()?;
    let backwards = place.as_ref().is_some_and(|place| place.backwards);
    let limit = wanted.limit.map_or(MOST_ROOMS, |limit| u32::try_from(limit).unwrap_or(MOST_ROOMS));
    let limit = limit.clamp(1, MOST_ROOMS);
    let term = wanted.term.as_deref().map(str::trim).filter(|term| !term.is_empty()).map(str::to_lowercase);
    if term.as_ref().is_some_and(|term| term.len() > LONGEST_TERM) {
        return Err(MatrixError::invalid_param("The search term is too long"));
    }
    let first_page = place.is_none();
    let ask = PageDirectory {
        term,
        room_types: wanted.room_types.clone(),
        beside: place.map(|place| (place.joined, place.room_id)),
        backwards,
        limit: limit + 1,
        of: wanted.of.clone(),
    };
    let DirectoryPage { mut rooms, total } = ask_storage(edge, ask).await?;
    let more = rooms.len() > limit as usize;
    if more && backwards {
        rooms.remove(0);
    }
    rooms.truncate(limit as usize);
    let beside = |room: Option<&ShownRoom>, backwards| room.map(|room| Place::write(room, backwards));
    let next = beside(rooms.last(), false).filter(|_| more || backwards);
    let prev = beside(rooms.first(), true).filter(|_| if backwards { more } else { !first_page });
    Ok(Listing { rooms, next, prev, total })
}

/// A place in the directory, as in its tokens.
struct Place {
    backwards: bool,
    joined: u64,
    room_id: OwnedRoomId,
}

impl Place {
    fn write(room: &ShownRoom, backwards: bool) -> String {
        let direction = if backwards { 'b' } else { 'f' };
        URL_SAFE_NO_PAD.encode(format!("{direction}{} {}", room.facts.num_joined_members, room.room_id))
    }

    fn read(token: &str) -> Result<Self, MatrixError> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
            let (place, room_id) = text.split_once(' ')?;
            let backwards = place.starts_with('b');
            let joined = place.strip_prefix(['b', 'f'])?.parse().ok()?;
            Some(Self { backwards, joined, room_id: RoomId::parse(room_id).ok()? })
        };
        read().ok_or_else(|| MatrixError::invalid_param("Not a token of the directory"))
    }
}
