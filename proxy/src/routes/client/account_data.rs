//! Account data, tags and filters.

use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ask_user,
    wire::user::{ChangeTag, DeleteAccountData, ReadAccountData, ReadFilter, WriteAccountData, WriteFilter},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub Get "/_matrix/client/v3/user/{userId}/account_data/{type}" => read_global;
    Hub Put "/_matrix/client/v3/user/{userId}/account_data/{type}" => write_global;
    Hub Delete "/_matrix/client/v3/user/{userId}/account_data/{type}" => delete_global;
    Hub Delete "/_matrix/client/unstable/org.matrix.msc3391/user/{userId}/account_data/{type}" => delete_global;
    Hub Get "/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}" => read_of_room;
    Hub Put "/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}" => write_of_room;
    Hub Delete "/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}" => delete_of_room;
    Hub Delete "/_matrix/client/unstable/org.matrix.msc3391/user/{userId}/rooms/{roomId}/account_data/{type}" => delete_of_room;
    Hub Get "/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags" => tags;
    Hub Put "/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}" => set_tag;
    Hub Delete "/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}" => remove_tag;
    Hub Post "/_matrix/client/v3/user/{userId}/filter" => write_filter;
    Hub Get "/_matrix/client/v3/user/{userId}/filter/{filterId}" => read_filter;
};

/// `GET /user/{userId}/account_data/{type}`
async fn read_global(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, None).await
}

/// `PUT /user/{userId}/account_data/{type}`
async fn write_global(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    write(edge, request, None).await
}

/// `GET /user/{userId}/rooms/{roomId}/account_data/{type}`
async fn read_of_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, Some(request.room_id()?)).await
}

/// `PUT /user/{userId}/rooms/{roomId}/account_data/{type}`
async fn write_of_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    write(edge, request, Some(request.room_id()?)).await
}

async fn read(edge: &Edge, request: &Incoming, room_id: Option<OwnedRoomId>) -> Result<Answer, MatrixError> {
    let user_id = request.own_user_id()?;
    let ask = ReadAccountData { session: request.session()?, room_id, kind: request.param("type").to_owned() };
    match ask_user(edge, &user_id, ask).await? {
        Some(content) => Ok(Answer::raw(&content)),
        None => Err(MatrixError::not_found("There is no such account data")),
    }
}

async fn write(edge: &Edge, request: &Incoming, room_id: Option<OwnedRoomId>) -> Result<Answer, MatrixError> {
    let user_id = request.own_user_id()?;
    let kind = request.param("type");
    let content = request.object()?;
    refuse_server_managed(kind)?;
    let write = WriteAccountData { session: request.session()?, room_id, kind: kind.to_owned(), content };
    ask_user(edge, &user_id, write).await?;
    Ok(Answer::empty())
}

/// The server writes these itself: the one through read markers, the other through `pushrules/`.
fn refuse_server_managed(kind: &str) -> Result<(), MatrixError> {
    if matches!(kind, "m.fully_read" | "m.push_rules") {
        return Err(MatrixError::new(405, "M_BAD_JSON", format!("{kind} cannot be set through this API")));
    }
    Ok(())
}

/// `DELETE /user/{userId}/account_data/{type}` (MSC3391)
async fn delete_global(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    delete(edge, request, None).await
}

/// `DELETE /user/{userId}/rooms/{roomId}/account_data/{type}` (MSC3391)
async fn delete_of_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    delete(edge, request, Some(request.room_id()?)).await
}

async fn delete(edge: &Edge, request: &Incoming, room_id: Option<OwnedRoomId>) -> Result<Answer, MatrixError> {
    let user_id = request.own_user_id()?;
    let kind = request.param("type").to_owned();
    refuse_server_managed(&kind)?;
    ask_user(edge, &user_id, DeleteAccountData { session: request.session()?, room_id, kind }).await?;
    Ok(Answer::empty())
}

/// `GET /user/{userId}/rooms/{roomId}/tags`
async fn tags(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        tags: Map<String, Value>,
    }
    let user_id = request.own_user_id()?;
    let room_id = Some(request.room_id()?);
    let ask = ReadAccountData { session: request.session()?, room_id, kind: "m.tag".to_owned() };
    let content = ask_user(edge, &user_id, ask).await?;
    // A client may have written something else under this type.
    let content = content.and_then(|content| content.read::<Content>().ok());
    Answer::json(&json!({ "tags": content.map(|content| content.tags).unwrap_or_default() }))
}

/// `PUT /user/{userId}/rooms/{roomId}/tags/{tag}`
async fn set_tag(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, rename = "order")]
        _order: Option<f64>,
    }
    let Body { .. } = request.json()?;
    change_tag(edge, request, Some(request.object()?)).await
}

/// `DELETE /user/{userId}/rooms/{roomId}/tags/{tag}`
async fn remove_tag(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    change_tag(edge, request, None).await
}

async fn change_tag(edge: &Edge, request: &Incoming, content: Option<RawJson>) -> Result<Answer, MatrixError> {
    let user_id = request.own_user_id()?;
    let tag = request.param("tag").to_owned();
    let change = ChangeTag { session: request.session()?, room_id: request.room_id()?, tag, content };
    ask_user(edge, &user_id, change).await?;
    Ok(Answer::empty())
}

/// `POST /user/{userId}/filter`
async fn write_filter(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Shape {
        #[serde(default, rename = "event_fields")]
        _event_fields: Option<Vec<String>>,
        #[serde(default, rename = "event_format")]
        _event_format: Option<String>,
        #[serde(default, rename = "presence")]
        _presence: Option<Map<String, Value>>,
        #[serde(default, rename = "account_data")]
        _account_data: Option<Map<String, Value>>,
        #[serde(default, rename = "room")]
        _room: Option<Map<String, Value>>,
    }
    let user_id = request.own_user_id()?;
    let Shape { .. } = request.json()?;
    let write = WriteFilter { session: request.session()?, filter: request.object()? };
    Answer::json(&json!({ "filter_id": ask_user(edge, &user_id, write).await? }))
}

/// `GET /user/{userId}/filter/{filterId}`
async fn read_filter(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = request.own_user_id()?;
    let ask = ReadFilter { session: request.session()?, filter_id: request.param("filterId").to_owned() };
    match ask_user(edge, &user_id, ask).await? {
        Some(filter) => Ok(Answer::raw(&filter)),
        None => Err(MatrixError::not_found("There is no such filter")),
    }
}
