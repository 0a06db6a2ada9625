//! What other servers ask of users, aliases and the directory here.

use std::{collections::BTreeMap, future::ready, rc::Rc};

use futures::{StreamExt, stream};
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::Deserialize;
use serde_json::json;
use tern_edge::{federation::queries, keys::Query};
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    routes::client::directory::{list_public_rooms, search_public_rooms},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Federation Get "/_matrix/federation/v1/query/profile" => profile;
    Federation Get "/_matrix/federation/v1/query/directory" => directory;
    Federation Get "/_matrix/federation/v1/query/{queryType}" => unknown;
    Federation Post "/_matrix/federation/v1/user/keys/query" => query_keys;
    Federation Post "/_matrix/federation/v1/user/keys/claim" => claim_keys;
    Federation Get "/_matrix/federation/v1/user/devices/{userId}" => devices;
    Federation Get "/_matrix/federation/v1/publicRooms" => list_public_rooms;
    Federation Post "/_matrix/federation/v1/publicRooms" => search_public_rooms;
};

/// A query parameter that has to be there.
fn needed<'a>(request: &'a Incoming, name: &str) -> Result<&'a str, MatrixError> {
    request.query(name).ok_or_else(|| MatrixError::missing_param(format!("{name} is missing")))
}

/// `GET /query/profile`
async fn profile(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = OwnedUserId::try_from(needed(request, "user_id")?);
    let user_id = user_id.map_err(|_| MatrixError::invalid_param("Not a user id"))?;
    Answer::json(&queries::profile(edge, &edge.config, &user_id, request.query("field")).await?)
}

/// `GET /query/directory`
async fn directory(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&queries::alias(edge, &edge.config, needed(request, "room_alias")?).await?)
}

/// `GET /query/{queryType}` of a type that nobody knows
async fn unknown(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Err(MatrixError::not_found("There is no such query"))
}

/// `POST /user/keys/query`
async fn query_keys(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        device_keys: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    }
    let body: Body = request.json()?;
    let mut query = Query::of_server(queries::local(&edge.config, body.device_keys)?);
    let first = query.next(edge).await?;
    let rest = stream::try_unfold((Rc::clone(&edge.wire), query), async |(wire, mut query)| {
        if query.is_over() {
            return Ok(None);
        }
        let piece = query.next(&*wire).await?;
        Ok(Some((piece, (wire, query))))
    });
    Ok(Answer::pieces(stream::once(ready(Ok(first))).chain(rest)))
}

/// `POST /user/keys/claim`
async fn claim_keys(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>,
    }
    let body: Body = request.json()?;
    let claimed = queries::claim(edge, &edge.config, body.one_time_keys).await?;
    Answer::json(&json!({ "one_time_keys": claimed }))
}

/// `GET /user/devices/{userId}`
async fn devices(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&queries::devices(edge, &edge.config, &request.user_id()?).await?)
}
