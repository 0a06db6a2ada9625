//! The room directory, run in the proxy.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{OwnedRoomId, RoomId, UserId};
use tern_model::MatrixError;
use tern_ports::{
    Clock, Transport, ask_room, ask_storage,
    wire::directory::{CheckAliasPermission, Directory, DirectoryPage, IsListed, ListRoom, PageDirectory, ShownRoom},
};

/// Rooms in a page of the directory, at most.
const MOST_ROOMS: u32 = 500;

/// Longest id of a network, in bytes.
const LONGEST_NETWORK: usize = 255;

/// Longest search term, in bytes.
const LONGEST_TERM: usize = 200;

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
