//! What this server is, and which keys it and others have: open to everybody.

use std::collections::BTreeMap;

use ruma::OwnedServerName;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tern_edge::federation::notary;
use tern_model::{MatrixError, Millis};
use tern_ports::Clock;

use crate::{
    edge::Edge,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Fixed Get "/_matrix/federation/v1/version" => version;
    Fixed Get "/_matrix/key/v2/server" => own_keys;
    Fixed Get "/_matrix/key/v2/server/{keyId}" => own_keys;
    Open Get "/_matrix/key/v2/query/{serverName}" => query_one;
    Open Post "/_matrix/key/v2/query" => query;
};

/// `GET /version`
async fn version(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "server": { "name": "Tern", "version": env!("CARGO_PKG_VERSION") } }))
}

/// `GET /server`; by id it is the same answer.
async fn own_keys(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Ok(Answer::text(edge.own_keys.answer(&edge.config, edge.now())?))
}

/// `GET /query/{serverName}`
async fn query_one(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let name = OwnedServerName::try_from(request.param("serverName"));
    let name = name.map_err(|_| MatrixError::invalid_param("Not a server name"))?;
    let until = Millis(request.query_number("minimum_valid_until_ts")?.unwrap_or(0));
    let wanted = [(name, until)].into_iter().collect();
    passed_on(edge, request, wanted).await
}

/// `POST /query`
async fn query(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        server_keys: BTreeMap<OwnedServerName, BTreeMap<String, Box<RawValue>>>,
    }
    let body: Body = request.json()?;
    let wanted = notary::wanted(&body.server_keys)?;
    passed_on(edge, request, wanted).await
}

/// Each server that has to be asked for it counts for the address: whoever makes up servers has others asked.
async fn passed_on(edge: &Edge, request: &Incoming, wanted: notary::Wanted) -> Result<Answer, MatrixError> {
    let admit = || limits::admit_stranger(edge, request.ip.as_deref());
    Ok(Answer::text(notary::query(edge, &edge.config, &edge.own_keys, wanted, admit).await?))
}
