//! Previews of addresses.

use tern_edge::preview;
use tern_model::MatrixError;
use tern_ports::Polls;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token (Preview) Get "/_matrix/client/v1/media/preview_url" => preview_url;
    Token (Preview) Get "/_matrix/media/v3/preview_url" => preview_url;
};

/// How long somebody waits for a preview, whatever the page does, in milliseconds.
const PATIENCE_MS: u64 = 15_000;

/// `GET /media/preview_url`
async fn preview_url(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    if !edge.media.previews {
        return Err(MatrixError::unrecognized());
    }
    request.query_number("ts")?;
    let url = request.query("url").ok_or_else(|| MatrixError::missing_param("url is missing"))?;
    let deadline = edge.wire.sleep(PATIENCE_MS);
    preview::preview(edge, &edge.config.server_name, url, deadline).await.map(|preview| Answer::raw(&preview))
}
