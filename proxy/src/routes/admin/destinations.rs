//! Other servers as they are sent what happens here, with the token of the operator.

use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};
use tern_edge::admin::{self, Actor};
use tern_model::MatrixError;
use tern_ports::{
    Clock, ask_destination,
    wire::destination::{DestinationProbe, ProbeDestination, WakeDestination},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Admin Get "/_tern/admin/v1/federation/destinations/{serverName}" => read;
    Admin Post "/_tern/admin/v1/federation/destinations/{serverName}/retry" => retry;
};

/// `GET /federation/destinations/{serverName}`: how the server is and what waits for it.
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let server = named(request)?;
    let probe = ask_destination(edge, &server, ProbeDestination {}).await?;
    Answer::json(&shown(edge, &server, &probe))
}

/// `POST /federation/destinations/{serverName}/retry`: what waits for it is tried now.
async fn retry(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let server = named(request)?;
    admin::record(edge, &Actor::Operator, "retry_destination", server.as_str()).await?;
    ask_destination(edge, &server, WakeDestination {}).await?;
    Ok(Answer::empty())
}

fn named(request: &Incoming) -> Result<OwnedServerName, MatrixError> {
    let name = request.param("serverName").to_ascii_lowercase();
    OwnedServerName::try_from(name).map_err(|_| MatrixError::invalid_param("Not the name of a server"))
}

fn shown(edge: &Edge, server: &ServerName, probe: &DestinationProbe) -> Value {
    let waits = probe.retry_at > edge.now();
    json!({
        "server_name": server,
        "allowed": edge.config.federation.meets(server.as_str()),
        "failures": probe.failures,
        "retry_at": waits.then_some(probe.retry_at),
        "rooms_pending": probe.rooms,
        "events_pending_at_most": probe.positions,
        "to_device_pending": probe.to_device,
        "sending": probe.sending,
        "events_refused": probe.refused,
    })
}
