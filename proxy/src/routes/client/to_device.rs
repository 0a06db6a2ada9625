//! To-device messages.

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use serde::Deserialize;
use tern_edge::to_device;
use tern_model::{MatrixError, RawJson};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Ephemeral) Put "/_matrix/client/v3/sendToDevice/{eventType}/{txnId}" => send;
};

/// `PUT /sendToDevice/{eventType}/{txnId}`
async fn send(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        messages: BTreeMap<OwnedUserId, BTreeMap<String, RawJson>>,
    }
    let body: Body = request.json()?;
    let (kind, txn_id) = (request.param("eventType"), request.param("txnId"));
    to_device::send(edge, &edge.config, request.caller()?, kind, txn_id, body.messages).await?;
    Ok(Answer::empty())
}
