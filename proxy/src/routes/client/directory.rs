//! Finding rooms: aliases, the directory.

use ruma::{OwnedRoomId, OwnedServerName};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_auth::appservice;
use tern_edge::{
    aliases,
    directory::{self, Listing, Wanted},
    federation, join,
};
use tern_model::{MatrixError, RoomFacts};
use tern_ports::wire::directory::Directory;

use crate::{
    edge::Edge,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/_matrix/client/v3/directory/room/{roomAlias}" => resolve;
    Token Put "/_matrix/client/v3/directory/room/{roomAlias}" => add_alias;
    Token Delete "/_matrix/client/v3/directory/room/{roomAlias}" => remove_alias;
    Token Get "/_matrix/client/v3/rooms/{roomId}/aliases" => aliases;
    Open Get "/_matrix/client/v3/directory/list/room/{roomId}" => visibility;
    Token Put "/_matrix/client/v3/directory/list/room/{roomId}" => set_visibility;
    Token Put "/_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}" => list_for_network;
    Open Get "/_matrix/client/v3/publicRooms" => public_rooms;
    Token Post "/_matrix/client/v3/publicRooms" => public_rooms_like;
};

/// `GET /directory/room/{roomAlias}`
async fn resolve(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let alias = ruma::RoomAliasId::parse(request.param("roomAlias"))
        .map_err(|_| MatrixError::invalid_param("Not a room alias"))?;
    if alias.server_name() != edge.config.server_name {
        limits::admit_stranger(edge, request.ip.as_deref())?;
        let found = federation::directory::alias(edge, &alias).await?;
        return Answer::json(&json!({ "room_id": found.room_id, "servers": &*found.servers }));
    }
    let room_id = join::resolve(edge, &edge.config, alias.as_str()).await?;
    Answer::json(&json!({ "room_id": room_id, "servers": [edge.config.server_name] }))
}

/// `PUT /directory/room/{roomAlias}`
async fn add_alias(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        room_id: OwnedRoomId,
    }
    let body: Body = request.json()?;
    let alias = aliases::local_alias(&edge.config, request.param("roomAlias"))?;
    check_alias(edge, request, alias.as_str())?;
    aliases::add_alias(edge, &request.caller()?.user_id, alias, body.room_id).await?;
    Ok(Answer::empty())
}

/// Aliases that only an application service may give and take.
pub(super) fn check_alias(edge: &Edge, request: &Incoming, alias: &str) -> Result<(), MatrixError> {
    let by = request.identity()?.service.as_deref();
    let by = by.and_then(|id| edge.config.accounts.appservices.iter().find(|service| service.id == id));
    appservice::check_alias(&edge.config, by, alias)
}

/// `DELETE /directory/room/{roomAlias}`
async fn remove_alias(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let alias = aliases::local_alias(&edge.config, request.param("roomAlias"))?;
    let caller = request.caller()?;
    check_alias(edge, request, alias.as_str())?;
    aliases::remove_alias(edge, &caller.user_id, &caller.device_id, alias).await?;
    Ok(Answer::empty())
}

/// `GET /rooms/{roomId}/aliases`
async fn aliases(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let aliases = aliases::aliases(edge, &request.caller()?.user_id, request.room_id()?).await?;
    Answer::json(&json!({ "aliases": aliases }))
}

/// `GET /directory/list/room/{roomId}`
async fn visibility(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let listed = directory::is_listed(edge, request.room_id()?).await?;
    Answer::json(&json!({ "visibility": if listed { "public" } else { "private" } }))
}

/// `PUT /directory/list/room/{roomId}`
async fn set_visibility(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let listed = wanted_visibility(request)?.unwrap_or(true);
    directory::list(edge, &request.caller()?.user_id, request.room_id()?, listed).await?;
    Ok(Answer::empty())
}

/// Whether the body wants a room listed, if it says.
fn wanted_visibility(request: &Incoming) -> Result<Option<bool>, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        visibility: Option<String>,
    }
    let body: Body = request.json()?;
    match body.visibility.as_deref() {
        None => Ok(None),
        Some("public") => Ok(Some(true)),
        Some("private") => Ok(Some(false)),
        Some(_) => Err(MatrixError::invalid_param("visibility is neither public nor private")),
    }
}

/// `PUT /directory/list/appservice/{networkId}/{roomId}`
async fn list_for_network(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let listed = wanted_visibility(request)?.ok_or_else(|| MatrixError::missing_param("visibility is missing"))?;
    let room_id = request.room_id()?;
    let service = request.identity()?.service.as_deref();
    let service = service.ok_or_else(|| MatrixError::forbidden("Only application services list rooms of networks"))?;
    directory::list_for(edge, service, request.param("networkId"), room_id, listed).await?;
    Ok(Answer::empty())
}

/// `GET /publicRooms`
async fn public_rooms(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    if let Some(server) = other_server(edge, request)? {
        let limit = request.query_number("limit")?.map(|limit| limit.to_string());
        let since = request.query("since").map(str::to_owned);
        let query: Vec<_> =
            [("limit", limit), ("since", since)].into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        return Ok(Answer::raw(&federation::directory::public_rooms(edge, &server, &query, None).await?));
    }
    list_public_rooms(edge, request).await
}

/// The first rooms that are listed, for a client or another server.
pub(in crate::routes) async fn list_public_rooms(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (limit, since) = (request.query_number("limit")?, request.query("since").map(str::to_owned));
    listing(&directory::page(edge, &Wanted { limit, since, ..Wanted::default() }).await?)
}

/// `POST /publicRooms`
async fn public_rooms_like(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    if let Some(server) = other_server(edge, request)? {
        let body = Some(request.object_or_empty()?);
        return Ok(Answer::raw(&federation::directory::public_rooms(edge, &server, &[], body).await?));
    }
    search_public_rooms(edge, request).await
}

/// The listed rooms of a kind, for a client or another server.
pub(in crate::routes) async fn search_public_rooms(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        limit: Option<u64>,
        since: Option<String>,
        #[serde(default)]
        filter: Filter,
        third_party_instance_id: Option<String>,
        #[serde(default)]
        include_all_networks: bool,
    }
    #[derive(Default, Deserialize)]
    struct Filter {
        generic_search_term: Option<String>,
        room_types: Option<Vec<Option<String>>>,
    }
    let Body { limit, since, filter, third_party_instance_id, include_all_networks } = request.json_or_empty()?;
    let of = match (third_party_instance_id, include_all_networks) {
        (None, false) => Directory::Own,
        (None, true) => Directory::All,
        (Some(network), false) => Directory::Network(network),
        (Some(_), true) => return Err(MatrixError::invalid_param("One network, or all of them")),
    };
    let wanted = Wanted { limit, since, term: filter.generic_search_term, room_types: filter.room_types, of };
    listing(&directory::page(edge, &wanted).await?)
}

/// The other server whose directory is asked for. Whoever names one has it asked, and is counted for that.
fn other_server(edge: &Edge, request: &Incoming) -> Result<Option<OwnedServerName>, MatrixError> {
    let Some(server) = request.query("server") else { return Ok(None) };
    if server.eq_ignore_ascii_case(edge.config.server_name.as_str()) {
        return Ok(None);
    }
    let server = OwnedServerName::try_from(server);
    let server = server.map_err(|_| MatrixError::invalid_param("server is not the name of a server"))?;
    limits::admit_stranger(edge, request.ip.as_deref())?;
    Ok(Some(server))
}

fn listing(page: &Listing) -> Result<Answer, MatrixError> {
    let chunk: Vec<_> = page.rooms.iter().map(|room| published(&room.room_id, &room.facts)).collect();
    let mut body = json!({ "chunk": chunk, "total_room_count_estimate": page.total });
    for (name, token) in [("next_batch", &page.next), ("prev_batch", &page.prev)] {
        if let (Some(body), Some(token)) = (body.as_object_mut(), token) {
            body.insert(name.to_owned(), token.as_str().into());
        }
    }
    Answer::json(&body)
}

/// The fields of a room in the directory.
pub(super) fn published(room_id: &ruma::RoomId, facts: &RoomFacts) -> Map<String, Value> {
    let texts = [
        ("name", &facts.name),
        ("topic", &facts.topic),
        ("avatar_url", &facts.avatar_url),
        ("canonical_alias", &facts.canonical_alias),
        ("room_type", &facts.room_type),
        ("join_rule", &facts.join_rule),
    ];
    let set = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into())));
    let mut fields: Map<String, Value> = set.collect();
    fields.insert("room_id".to_owned(), room_id.as_str().into());
    fields.insert("num_joined_members".to_owned(), facts.num_joined_members.into());
    fields.insert("guest_can_join".to_owned(), facts.guest_can_join.into());
    fields.insert("world_readable".to_owned(), facts.world_readable.into());
    fields
}
