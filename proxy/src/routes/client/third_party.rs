//! Third-party networks: application services bridge to them.

use tern_edge::services::{self, Lookup};
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v3/thirdparty/protocols" => protocols;
    Token Get "/_matrix/client/v3/thirdparty/protocol/{protocol}" => protocol;
    Token Get "/_matrix/client/v3/thirdparty/location/{protocol}" => locations;
    Token Get "/_matrix/client/v3/thirdparty/user/{protocol}" => users;
    Token Get "/_matrix/client/v3/thirdparty/location" => locations_of;
    Token Get "/_matrix/client/v3/thirdparty/user" => users_of;
};

/// `GET /thirdparty/protocols`
async fn protocols(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&services::protocols(edge, &edge.config).await)
}

/// `GET /thirdparty/protocol/{protocol}`
async fn protocol(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let mut protocols = services::protocols(edge, &edge.config).await;
    Answer::json(&protocols.remove(request.param("protocol")).ok_or_else(unknown)?)
}

/// `GET /thirdparty/location/{protocol}`
async fn locations(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    look_up(edge, request, Lookup::Location, Some(request.param("protocol"))).await
}

/// `GET /thirdparty/user/{protocol}`
async fn users(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    look_up(edge, request, Lookup::User, Some(request.param("protocol"))).await
}

/// `GET /thirdparty/location`
async fn locations_of(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    require(request, "alias")?;
    look_up(edge, request, Lookup::Location, None).await
}

/// `GET /thirdparty/user`
async fn users_of(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    require(request, "userid")?;
    look_up(edge, request, Lookup::User, None).await
}

async fn look_up(
    edge: &Edge,
    request: &Incoming,
    lookup: Lookup,
    protocol: Option<&str>,
) -> Result<Answer, MatrixError> {
    let found = services::look_up(edge, &edge.config, lookup, protocol, &request.query).await;
    Answer::json(&found.ok_or_else(unknown)?)
}

fn require(request: &Incoming, name: &str) -> Result<(), MatrixError> {
    request.query(name).map(|_| ()).ok_or_else(|| MatrixError::missing_param(format!("{name} is missing")))
}

fn unknown() -> MatrixError {
    MatrixError::not_found("The protocol is not bridged here")
}
