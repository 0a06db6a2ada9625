//! What other servers send.

use tern_edge::federation::transaction::{self, Transaction};
use tern_model::MatrixError;
use tern_ports::Clock;

use crate::{
    edge::Edge,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Federation Put large "/_matrix/federation/v1/send/{txnId}" => send;
};

/// `PUT /send/{txnId}`. A transaction that comes again is known by its events, not by its id.
async fn send(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let origin = request.origin()?;
    let transaction: Transaction = request.json()?;
    let _permit = edge.in_flight.enter(origin, edge.now())?;
    let stranger = || limits::admit_stranger(edge, request.ip.as_deref());
    let received = transaction::receive(edge, &edge.config, &edge.server_keys, origin, transaction, stranger).await?;
    Answer::json(&received)
}
