//! Backups of room keys.

use std::{future::ready, rc::Rc};

use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tern_edge::backup::{self, Export, Method, Rooms, Scope, Session, Sessions};
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Keys) Post "/_matrix/client/v3/room_keys/version" => create;
    Token Get "/_matrix/client/v3/room_keys/version" => read_current;
    Token Get "/_matrix/client/v3/room_keys/version/{version}" => read;
    Token Put "/_matrix/client/v3/room_keys/version/{version}" => update;
    Token Delete "/_matrix/client/v3/room_keys/version/{version}" => delete;
    Token Put "/_matrix/client/v3/room_keys/keys" => store;
    Token Put "/_matrix/client/v3/room_keys/keys/{roomId}" => store_room;
    Token Put "/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}" => store_session;
    Token Get "/_matrix/client/v3/room_keys/keys" => load;
    Token Get "/_matrix/client/v3/room_keys/keys/{roomId}" => load_room;
    Token Get "/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}" => load_session;
    Token Delete "/_matrix/client/v3/room_keys/keys" => remove;
    Token Delete "/_matrix/client/v3/room_keys/keys/{roomId}" => remove;
    Token Delete "/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}" => remove;
};

/// `POST /room_keys/version`
async fn create(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let method: Method = request.json()?;
    let version = backup::create(edge, &request.caller()?.user_id, method).await?;
    Answer::json(&json!({ "version": version }))
}

/// `GET /room_keys/version`
async fn read_current(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&backup::read(edge, &request.caller()?.user_id, None).await?)
}

/// `GET /room_keys/version/{version}`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&backup::read(edge, &request.caller()?.user_id, Some(request.param("version"))).await?)
}

/// `PUT /room_keys/version/{version}`
async fn update(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let method: Method = request.json()?;
    backup::update(edge, &request.caller()?.user_id, request.param("version"), method).await?;
    Ok(Answer::empty())
}

/// `DELETE /room_keys/version/{version}`
async fn delete(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    backup::delete(edge, &request.caller()?.user_id, request.param("version")).await?;
    Ok(Answer::empty())
}

/// `PUT /room_keys/keys`
async fn store(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        rooms: Rooms,
    }
    let body: Body = request.json()?;
    store_rooms(edge, request, body.rooms).await
}

/// `PUT /room_keys/keys/{roomId}`
async fn store_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let sessions: Sessions = request.json()?;
    store_rooms(edge, request, Rooms::from([(request.room_id()?, sessions)])).await
}

/// `PUT /room_keys/keys/{roomId}/{sessionId}`
async fn store_session(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let session: Session = request.json()?;
    let sessions = [(request.param("sessionId").to_owned(), session)].into();
    store_rooms(edge, request, Rooms::from([(request.room_id()?, Sessions { sessions })])).await
}

async fn store_rooms(edge: &Edge, request: &Incoming, rooms: Rooms) -> Result<Answer, MatrixError> {
    let version = request.query("version");
    Answer::json(&backup::store(edge, &request.caller()?.user_id, version, rooms).await?)
}

/// `GET /room_keys/keys`
async fn load(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    export(edge, Export::new(&request.caller()?.user_id, request.query("version"), None)?).await
}

/// `GET /room_keys/keys/{roomId}`
async fn load_room(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    export(edge, Export::new(&request.caller()?.user_id, request.query("version"), Some(request.room_id()?))?).await
}

/// What fits into one piece is an ordinary answer; the rest follows while the client reads.
async fn export(edge: &Edge, mut export: Export) -> Result<Answer, MatrixError> {
    let first = export.next(edge).await?;
    if export.is_over() {
        return Ok(Answer::text(first));
    }
    let rest = stream::try_unfold((Rc::clone(&edge.wire), export), async |(wire, mut export)| {
        if export.is_over() {
            return Ok(None);
        }
        let piece = export.next(&*wire).await?;
        Ok(Some((piece, (wire, export))))
    });
    Ok(Answer::pieces(stream::once(ready(Ok(first))).chain(rest)))
}

/// `GET /room_keys/keys/{roomId}/{sessionId}`
async fn load_session(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (version, room_id) = (request.query("version"), request.room_id()?);
    let user_id = &request.caller()?.user_id;
    Answer::json(&backup::load(edge, user_id, version, room_id, request.param("sessionId")).await?)
}

/// `DELETE /room_keys/keys`, of all keys, of a room or of one session
async fn remove(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let version = request.query("version");
    Answer::json(&backup::remove(edge, &request.caller()?.user_id, version, &scope(request)?).await?)
}

/// The keys that the path names.
fn scope(request: &Incoming) -> Result<Scope, MatrixError> {
    Ok(match (request.param("roomId"), request.param("sessionId")) {
        ("", _) => Scope::All,
        (_, "") => Scope::Room(request.room_id()?),
        (_, session_id) => Scope::Session(request.room_id()?, session_id.to_owned()),
    })
}
