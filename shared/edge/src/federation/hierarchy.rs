//! What another server is told of a space (Server-Server API, "Spaces"): the room and the rooms in it, as far as its users
//! could look at them or come in.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use ruma::{OwnedRoomId, RoomId, ServerName};
use tern_model::{MatrixError, RoomFacts};
use tern_ports::{
    Transport, ask_room, ask_storage,
    wire::{
        directory::{LoadFacts, ShownRoom},
        server_reads::{ReadForServer, ServerRead},
    },
};
use tern_room::facts::may_preview;

use crate::spaces::{keep_suggested, wanted_children};

/// Rooms' hubs that are asked for one answer, at most; what would take more is left out.
const MOST_ASKED: usize = 100;
/// Of them at a time.
const AT_A_TIME: usize = 6;

/// A space as another server is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedSpace {
    /// The space.
    pub room: ShownRoom,
    /// The rooms in it, first first.
    pub children: Vec<ShownRoom>,
    /// Rooms in it that are known and that users of the server cannot look at.
    pub inaccessible: Vec<OwnedRoomId>,
}

/// `GET /hierarchy/{roomId}`: one level, not in pages. Rooms that are not known here are left out.
///
/// # Errors
/// 404 `M_NOT_FOUND` for a room that is not known, or that users of the server cannot look at.
pub async fn read<E: Transport>(
    edge: &E,
    origin: &ServerName,
    root: &RoomId,
    suggested_only: bool,
) -> Result<ServedSpace, MatrixError> {
    let unknown = || MatrixError::not_found("There is no such room, or the server may not see it");
    let mut room = load(edge, vec![root.to_owned()]).await?.pop().ok_or_else(unknown)?;
    let within = rooms_with(edge, origin, std::slice::from_ref(&room)).await;
    if !is_shown(&room, &within) {
        return Err(unknown());
    }
    let wanted: Vec<_> = wanted_children(&room.facts, suggested_only).map(|child| child.room_id).collect();
    let mut found = if wanted.is_empty() { Vec::new() } else { load(edge, wanted.clone()).await? };
    found.sort_by_key(|room| wanted.iter().position(|room_id| *room_id == room.room_id));
    let within = rooms_with(edge, origin, &found).await;
    let (children, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|room| is_shown(room, &within));
    if suggested_only {
        keep_suggested(&mut room.facts);
    }
    Ok(ServedSpace { room, children, inaccessible: others.into_iter().map(|room| room.room_id).collect() })
}

async fn load<E: Transport>(edge: &E, rooms: Vec<OwnedRoomId>) -> Result<Vec<ShownRoom>, MatrixError> {
    ask_storage(edge, LoadFacts { rooms }).await
}

/// Whoever is of the server in a room could be in one of these.
fn is_shown(room: &ShownRoom, within: &BTreeSet<OwnedRoomId>) -> bool {
    let membership = within.contains(&room.room_id).then_some("join");
    may_preview(&room.facts, membership, |room_id| within.contains(room_id))
}

/// Of the rooms on which it depends whether these are shown, those that the server is in. A hub that cannot be asked has
/// not said so.
async fn rooms_with<E: Transport>(edge: &E, origin: &ServerName, rooms: &[ShownRoom]) -> BTreeSet<OwnedRoomId> {
    let closed = rooms.iter().filter(|room| !is_shown(room, &BTreeSet::new()));
    let asked: BTreeSet<_> = closed.flat_map(|room| gates(&room.room_id, &room.facts)).take(MOST_ASKED).collect();
    let within = stream::iter(asked).map(async |room_id: OwnedRoomId| {
        let ask = ReadForServer { origin: origin.to_owned(), read: ServerRead::Access };
        ask_room(edge, &room_id, ask).await.is_ok().then_some(room_id)
    });
    within.buffer_unordered(AT_A_TIME).filter_map(async |room_id| room_id).collect().await
}

fn gates<'a>(room_id: &'a RoomId, facts: &'a RoomFacts) -> impl Iterator<Item = OwnedRoomId> + 'a {
    std::iter::once(room_id.to_owned()).chain(facts.allowed_room_ids.iter().cloned())
}
