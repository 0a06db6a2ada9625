//! Media of this server for others, in an envelope that says what it is.

use tern_media::{MediaId, multipart::Boundary};
use tern_model::MatrixError;
use tern_ports::{
    Clock, Entropy,
    wire::{
        MediaRequest,
        media::{FetchMedia, Fetched, MediaRef},
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
    routes::client::{media::awaited, thumbnails::wanted},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Federation Get "/_matrix/federation/v1/media/download/{mediaId}" => download;
    Federation Get "/_matrix/federation/v1/media/thumbnail/{mediaId}" => thumbnail;
};

/// `GET /media/download/{mediaId}`
async fn download(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let boundary = boundary(edge);
    enveloped(edge, request, question(edge, request, &boundary)?, &boundary).await
}

/// `GET /media/thumbnail/{mediaId}`
async fn thumbnail(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let boundary = boundary(edge);
    let ask = wanted(request, question(edge, request, &boundary)?, false)?;
    enveloped(edge, request, ask, &boundary).await
}

fn boundary(edge: &Edge) -> Boundary {
    let mut bytes = [0; MediaId::RANDOM_BYTES];
    edge.fill(&mut bytes);
    Boundary::random(bytes)
}

/// All of some content of this server.
fn question(edge: &Edge, request: &Incoming, boundary: &Boundary) -> Result<FetchMedia, MatrixError> {
    let media_id = MediaId::parse(request.param("mediaId"))?.as_str().to_owned();
    Ok(FetchMedia {
        media: MediaRef { origin: edge.config.server_name.clone(), media_id },
        before: None,
        range: None,
        if_range: None,
        if_none_match: None,
        body: true,
        envelope: Some(boundary.as_str().to_owned()),
        ts: edge.now(),
    })
}

async fn enveloped<R: MediaRequest<Reply = Fetched> + Clone>(
    edge: &Edge,
    request: &Incoming,
    ask: R,
    boundary: &Boundary,
) -> Result<Answer, MatrixError> {
    let (_, content) = awaited(edge, request, ask, None).await?;
    Ok(Answer::content(200, vec![("content-type", boundary.content_type())], content))
}
