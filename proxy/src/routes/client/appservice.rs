//! What only application services ask.

use serde::Deserialize;
use tern_edge::appservice;
use tern_model::MatrixError;
use tern_ports::{ask_service, wire::destination::WakeDestination};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Post "/_matrix/client/v1/appservice/{appserviceId}/ping" => ping;
};

/// `POST /appservice/{appserviceId}/ping`
async fn ping(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        transaction_id: Option<String>,
    }
    let Body { transaction_id } = request.json_or_empty()?;
    let id = request.param("appserviceId");
    let service = edge.config.accounts.appservices.iter().find(|service| service.id == id);
    let service = service.filter(|_| request.identity().is_ok_and(|identity| identity.service.as_deref() == Some(id)));
    let service = service.ok_or_else(|| MatrixError::forbidden("Only the application service itself may ask"))?;
    let pong = appservice::ping(edge, service, transaction_id.as_deref()).await?;
    // It is there: what waits for it is sent now. Whether that is heard does not matter to the ping.
    ask_service(edge, id, WakeDestination {}).await.ok();
    Answer::json(&pong)
}
