//! Calls between two.

use tern_model::MatrixError;
use tern_ports::Clock;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v3/voip/turnServer" => turn_server;
};

/// `GET /voip/turnServer`: without relays there is nothing to say.
async fn turn_server(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = &request.caller()?.user_id;
    let credentials = edge.relays.as_ref().and_then(|relays| relays.credentials(user_id, edge.now()));
    // An empty list would be what the specification asks for, but browsers refuse a relay without an address.
    Answer::json(&credentials.ok_or_else(|| MatrixError::not_found("There are no relays for calls"))?)
}
