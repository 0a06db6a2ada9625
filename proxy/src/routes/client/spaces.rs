//! What rooms show to those who look at them before they join: summaries, spaces.

use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, UserId};
use serde_json::{Map, Value, json};
use tern_edge::{federation, join, spaces};
use tern_model::{MatrixError, RoomFacts};
use tern_ports::{
    ask_room, ask_user,
    wire::{
        directory::{ReadSummary, SeenRoom, ShownRoom},
        user::ListMemberships,
    },
};

use super::directory::published;
use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Optional Get "/_matrix/client/v1/room_summary/{roomIdOrAlias}" => summary;
    Optional Get "/_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary" => summary;
    Optional Get "/_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}" => summary;
    Token Get "/_matrix/client/v1/rooms/{roomId}/hierarchy" => hierarchy;
};

/// Servers that a client may name.
const MOST_VIA: usize = 10;

/// `GET /room_summary/{roomIdOrAlias}`
async fn summary(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (room_id, via) = named_room(edge, request).await?;
    let caller = request.identity.as_ref().map(|identity| identity.caller.user_id.clone());
    let seen = match ask_room(edge, &room_id, ReadSummary { caller: caller.clone() }).await {
        Err(error) if error.status == 404 && !via.is_empty() => match caller {
            Some(caller) => seen_elsewhere(edge, request, &caller, &room_id, &via).await?,
            // Only for people of this server others are asked.
            None => return Err(error),
        },
        answered => answered?,
    };
    let mut body = summarised(&room_id, &seen.facts);
    if let Some(membership) = seen.membership {
        body.insert("membership".to_owned(), membership.into());
    }
    // The names of MSC3266 for what the specification calls otherwise.
    let unstable = [("im.nheko.summary.room_version", "room_version"), ("im.nheko.summary.encryption", "encryption")];
    for (old, new) in unstable {
        if let Some(value) = body.get(new).cloned() {
            body.insert(old.to_owned(), value);
        }
    }
    Answer::json(&body)
}

/// What other servers show of a room that is not here.
async fn seen_elsewhere(
    edge: &Edge,
    request: &Incoming,
    caller: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<SeenRoom, MatrixError> {
    let memberships = ask_user(edge, caller, ListMemberships { session: Some(request.session()?) }).await?;
    let facts = federation::summaries::summary(edge, &edge.config, room_id, via, &memberships).await?;
    Ok(SeenRoom { facts, membership: memberships.get(room_id).cloned() })
}

/// The room of the path, an id or an alias, and servers that may know it.
async fn named_room(edge: &Edge, request: &Incoming) -> Result<(OwnedRoomId, Vec<OwnedServerName>), MatrixError> {
    let name = request.param("roomIdOrAlias");
    if let Ok(alias) = RoomAliasId::parse(name)
        && alias.server_name() != edge.config.server_name
        && request.identity.is_some()
    {
        let found = federation::directory::alias(edge, &alias).await?;
        return Ok((found.room_id, found.servers.into_vec()));
    }
    Ok((join::resolve(edge, &edge.config, name).await?, via(request)))
}

/// Servers that the client names (`via`, and `server_name` as it was called before).
fn via(request: &Incoming) -> Vec<OwnedServerName> {
    let named = request.query.iter().filter(|(name, _)| matches!(name.as_str(), "via" | "server_name"));
    named.filter_map(|(_, server)| OwnedServerName::try_from(server.as_str()).ok()).take(MOST_VIA).collect()
}

/// `GET /rooms/{roomId}/hierarchy`
async fn hierarchy(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let wanted = spaces::Wanted {
        suggested_only: request.query_flag("suggested_only")?,
        max_depth: request.query_number("max_depth")?,
        limit: request.query_number("limit")?,
        from: request.query("from").map(str::to_owned),
        via: via(request),
    };
    let caller = &request.caller()?.user_id;
    let page = spaces::read(edge, &edge.config, caller, request.session()?, &request.room_id()?, &wanted).await?;
    let rooms: Vec<_> = page.rooms.iter().map(in_space).collect();
    match page.next {
        Some(next) => Answer::json(&json!({ "rooms": rooms, "next_batch": next })),
        None => Answer::json(&json!({ "rooms": rooms })),
    }
}

pub(in crate::routes) fn in_space(room: &ShownRoom) -> Map<String, Value> {
    let mut fields = summarised(&room.room_id, &room.facts);
    let children: Vec<Value> = room.facts.children.iter().filter_map(|event| event.read().ok()).collect();
    fields.insert("children_state".to_owned(), children.into());
    fields
}

/// The fields of a room's summary.
pub(in crate::routes) fn summarised(room_id: &RoomId, facts: &RoomFacts) -> Map<String, Value> {
    let mut fields = published(room_id, facts);
    fields.insert("room_version".to_owned(), facts.room_version.as_str().into());
    if let Some(encryption) = &facts.encryption {
        fields.insert("encryption".to_owned(), encryption.as_str().into());
    }
    if !facts.allowed_room_ids.is_empty() {
        let rooms: Vec<Value> = facts.allowed_room_ids.iter().map(|room_id| room_id.as_str().into()).collect();
        fields.insert("allowed_room_ids".to_owned(), rooms.into());
    }
    fields
}
