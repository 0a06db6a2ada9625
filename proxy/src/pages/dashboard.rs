//! How the server is doing, for its administrators. The storage worker makes the page.

use tern_edge::admin::is_admin;
use tern_metrics::view::Range;
use tern_model::MatrixError;

use super::{owner::own, policy::guarded};
use crate::{
    edge::Edge,
    metrics,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/_tern/dashboard" => dashboard;
};

const POLICY: &str = "content-security-policy";

async fn dashboard(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    own(edge, request, async |page_request, signed| {
        if !is_admin(edge, &signed.user_id).await? {
            return Err(MatrixError::new(403, "M_UNKNOWN", "Only administrators of this server see this page"));
        }
        let range = Range::named(request.query("range").unwrap_or_default()).name();
        let question = format!("page {} {range} {}", page_request.text.lang, edge.config.server_name);
        let response = metrics::show(edge, &question).await?;
        // The policy names the style of the page that comes with it.
        let policy = response.headers().get(POLICY).ok().flatten().ok_or_else(MatrixError::internal)?;
        let page = guarded(Answer::page(200, metrics::body(response).await?));
        Ok(page.with_header(POLICY, policy).with_header("cache-control", "no-store"))
    })
    .await
}
