//! Application services as they are sent what happens here, with the token of the operator.

use serde_json::{Value, json};
use tern_auth::appservice::by_id;
use tern_edge::admin::{self, Actor};
use tern_model::{MatrixError, appservice::Appservice};
use tern_ports::{
    Clock, ask_service,
    wire::destination::{DestinationProbe, ProbeDestination, WakeDestination},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Admin Get "/_tern/admin/v1/appservices" => list;
    Admin Post "/_tern/admin/v1/appservices/{appserviceId}/retry" => retry;
};

/// `GET /appservices`: how each service is and what waits for it.
async fn list(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    let mut services = Vec::new();
    for service in &edge.config.accounts.appservices {
        let probe = ask_service(edge, &service.id, ProbeDestination {}).await?;
        services.push(shown(edge, service, &probe));
    }
    Answer::json(&json!({ "appservices": services }))
}

/// `POST /appservices/{appserviceId}/retry`: what waits for it is tried now.
async fn retry(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let id = request.param("appserviceId");
    let service = by_id(&edge.config, id).ok_or_else(|| MatrixError::not_found("There is no such service"))?;
    admin::record(edge, &Actor::Operator, "retry_appservice", &service.id).await?;
    ask_service(edge, &service.id, WakeDestination {}).await?;
    Ok(Answer::empty())
}

fn shown(edge: &Edge, service: &Appservice, probe: &DestinationProbe) -> Value {
    let waits = probe.retry_at > edge.now();
    json!({
        "id": service.id,
        "url": service.address(),
        "failures": probe.failures,
        "retry_at": waits.then_some(probe.retry_at),
        "rooms_pending": probe.rooms,
        "events_pending_at_most": probe.positions,
        "sending": probe.sending,
        "events_refused": probe.refused,
        "last_transaction": probe.transaction,
        "last_tried_at": probe.tried_at,
        "last_status": probe.status,
    })
}
