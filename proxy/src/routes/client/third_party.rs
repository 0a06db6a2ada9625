//! Third-party networks, of which there are none.

use serde_json::json;
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v3/thirdparty/protocols" => protocols;
    Token Get "/_matrix/client/v3/thirdparty/protocol/{protocol}" => unknown_protocol;
    Token Get "/_matrix/client/v3/thirdparty/location/{protocol}" => unknown_protocol;
    Token Get "/_matrix/client/v3/thirdparty/user/{protocol}" => unknown_protocol;
    Token Get "/_matrix/client/v3/thirdparty/location" => locations_of;
    Token Get "/_matrix/client/v3/thirdparty/user" => users_of;
};

/// `GET /thirdparty/protocols`: no network is bridged by this server itself.
async fn protocols(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Ok(Answer::empty())
}

/// `GET /thirdparty/{protocol,location,user}/{protocol}`
async fn unknown_protocol(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Err(MatrixError::not_found("The protocol is not bridged here"))
}

/// `GET /thirdparty/location`
async fn locations_of(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    nothing_found(request, "alias")
}

/// `GET /thirdparty/user`
async fn users_of(_: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    nothing_found(request, "userid")
}

fn nothing_found(request: &Incoming, of: &str) -> Result<Answer, MatrixError> {
    request.query(of).ok_or_else(|| MatrixError::missing_param(format!("{of} is missing")))?;
    Answer::json(&json!([]))
}
