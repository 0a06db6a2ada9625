//! Thumbnails.

use tern_media::thumbnail::{Method, Size};
use tern_model::{MatrixError, Millis};
use tern_ports::wire::media::{FetchMedia, FetchThumbnail};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    routes::client::media::{answer, awaited, question, remote},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token (Download) Get "/_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}" => thumbnail;
    Open Get "/_matrix/media/v3/thumbnail/{serverName}/{mediaId}" => thumbnail_open;
};

/// `GET /media/thumbnail/{serverName}/{mediaId}`
async fn thumbnail(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    bring(edge, request, None).await
}

/// `GET /_matrix/media/v3/thumbnail/…`: without a token, frozen.
async fn thumbnail_open(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let before = edge.media.open_before.ok_or_else(|| MatrixError::not_found("No such media"))?;
    bring(edge, request, Some(before)).await
}

async fn bring(edge: &Edge, request: &Incoming, before: Option<Millis>) -> Result<Answer, MatrixError> {
    let webp = request.header("accept").is_some_and(|types| types.contains("image/webp"));
    let original = question(edge, request, before, true)?;
    let remote = remote(edge, request, &original)?;
    let (known, content) = awaited(edge, request, wanted(request, original, webp)?, remote).await?;
    Ok(answer(&known, content, None).with_header("vary", "accept"))
}

/// The thumbnail that the query asks for.
pub(in crate::routes) fn wanted(
    request: &Incoming,
    original: FetchMedia,
    webp: bool,
) -> Result<FetchThumbnail, MatrixError> {
    let side = |name: &str| {
        let side = request.query_number(name)?;
        side.ok_or_else(|| MatrixError::missing_param(format!("{name} is missing")))
    };
    let wanted = Size::parse(side("width")?, side("height")?, request.query("method"))?;
    Ok(FetchThumbnail {
        original,
        width: wanted.width,
        height: wanted.height,
        crop: wanted.method == Method::Crop,
        animated: request.query_flag("animated")?,
        webp,
    })
}
