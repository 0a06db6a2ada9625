//! Proofs of identity for other services (Client-Server API, "OpenID").

use serde::Deserialize;
use serde_json::json;
use tern_auth::openid;
use tern_model::{Config, MatrixError};
use tern_ports::Clock;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Post "/_matrix/client/v3/user/{userId}/openid/request_token" => request_token;
    Open Get "/_matrix/federation/v1/openid/userinfo" => userinfo;
};

/// `POST /user/{userId}/openid/request_token`
async fn request_token(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {}
    let user_id = request.own_user_id()?;
    // It is said to be an empty object, so there is nothing in it to read.
    let Body {} = request.json_or_empty()?;
    Answer::json(&json!({
        "access_token": openid::mint(&edge.config, &user_id, edge.now())?,
        "token_type": "Bearer",
        "matrix_server_name": edge.config.server_name,
        "expires_in": openid::LIFETIME / 1000,
    }))
}

/// `GET /_matrix/federation/v1/openid/userinfo`, which needs no signature: the token is the proof
async fn userinfo(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let token = request.query("access_token").ok_or_else(MatrixError::missing_token)?;
    Answer::json(&json!({ "sub": owner(&edge.config, token, edge)? }))
}

fn owner(config: &Config, token: &str, clock: &impl Clock) -> Result<ruma::OwnedUserId, MatrixError> {
    openid::check(config, token, clock.now()).ok_or_else(|| MatrixError::unknown_token(false))
}
