//! Calls of several people (MSC4143): which transports there are.

use serde_json::json;
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Get "/_matrix/client/v1/rtc/transports" => transports;
    Token Get "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports" => transports;
};

/// `GET /rtc/transports`
async fn transports(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "rtc_transports": edge.transports }))
}
