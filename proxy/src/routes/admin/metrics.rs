//! What requests cost, for Prometheus.

use tern_edge::admin::Actor;
use tern_metrics::prometheus::CONTENT_TYPE;
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    metrics,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Scrape Get "/_tern/metrics" => read;
};

/// `GET /_tern/metrics`: text format 0.0.4.
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    if let Some(identity) = &request.identity {
        Actor::admin(edge, &identity.caller.user_id).await?;
    }
    let text = metrics::body(metrics::show(edge, "text").await?).await?;
    Ok(Answer::text(text).with_header("content-type", CONTENT_TYPE).with_header("cache-control", "no-store"))
}
