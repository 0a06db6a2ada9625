//! The content repository. Bodies pass through unread: this worker checks who asks and what the headers say.

use ruma::OwnedServerName;
use serde_json::json;
use tern_edge::remote_media::{self, Copied};
use tern_media::{FileName, MediaId, serve};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Clock, Entropy, Polls, ask_storage,
    wire::{
        MediaRequest,
        media::{FetchMedia, Fetched, Follows, MediaRef, ReserveMedia, StoreMedia, WITHHELD},
    },
};
use worker::ResponseBody;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token (Upload) Post streamed "/_matrix/media/v3/upload" => upload;
    Token (Upload) Put streamed "/_matrix/media/v3/upload/{serverName}/{mediaId}" => fill;
    Token (Upload) Post "/_matrix/media/v1/create" => create;
    Token (Download) Get "/_matrix/client/v1/media/download/{serverName}/{mediaId}" => download;
    Token (Download) Get "/_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}" => download;
    Token (Download) Head "/_matrix/client/v1/media/download/{serverName}/{mediaId}" => describe;
    Token (Download) Head "/_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}" => describe;
    Token Get "/_matrix/client/v1/media/config" => config;
    Token Get "/_matrix/media/v3/config" => config;
    Open Get "/_matrix/media/v3/download/{serverName}/{mediaId}" => download_open;
    Open Get "/_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}" => download_open;
};

/// How long a download waits for reserved content when the client does not say, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 20_000;

/// How long it waits at most.
const MAX_WAIT_MS: u64 = 30_000;

/// `POST /_matrix/media/v3/upload`
async fn upload(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let media = fresh(edge);
    let uri = format!("mxc://{}/{}", media.origin, media.media_id);
    store(edge, request, media, false).await?;
    Answer::json(&json!({ "content_uri": uri }))
}

/// `POST /_matrix/media/v1/create`
async fn create(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let media = fresh(edge);
    let ts = edge.now();
    let expires = Millis(ts.0.saturating_add(edge.media.reservation_ms));
    let reserve = ReserveMedia {
        media_id: media.media_id.clone(),
        user_id: request.caller()?.user_id.clone(),
        expires,
        most: edge.media.max_reservations,
        ts,
    };
    ask_storage(edge, reserve).await?;
    let uri = format!("mxc://{}/{}", media.origin, media.media_id);
    Answer::json(&json!({ "content_uri": uri, "unused_expires_at": expires.0 }))
}

/// `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`
async fn fill(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let media = named(edge, request)?;
    if media.origin != edge.config.server_name {
        return Err(MatrixError::not_found("Not reserved at this server"));
    }
    store(edge, request, media, true).await?;
    Ok(Answer::empty())
}

/// `GET /media/download/{serverName}/{mediaId}` and the same with a file name.
async fn download(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    bring(edge, request, None, true).await
}

/// `HEAD` of the same.
async fn describe(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    bring(edge, request, None, false).await
}

/// `GET /_matrix/media/v3/download/…`: without a token, frozen, so that links of before go on working.
async fn download_open(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let before = edge.media.open_before.ok_or_else(|| MatrixError::not_found("No such media"))?;
    bring(edge, request, Some(before), true).await
}

/// `GET /media/config`
async fn config(edge: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "m.upload.size": edge.media.max_upload }))
}

async fn store(edge: &Edge, request: &Incoming, media: MediaRef, reserved: bool) -> Result<(), MatrixError> {
    edge.media.admit(request.header("content-length").and_then(|text| text.parse().ok()))?;
    let ask = StoreMedia {
        media,
        user_id: Some(request.caller()?.user_id.clone()),
        reserved,
        content_type: serve::content_type(request.header("content-type").as_deref()),
        name: request.query("filename").and_then(FileName::clean).map(|name| name.as_str().to_owned()),
        picture: false,
        envelope: None,
        max_length: edge.media.max_upload,
        quota: edge.media.quota,
        ts: edge.now(),
    };
    edge.wire.ask_media(ask, request.stream.clone().map(Into::into)).await.map(|_| ())
}

async fn bring(edge: &Edge, request: &Incoming, before: Option<Millis>, body: bool) -> Result<Answer, MatrixError> {
    let ask = question(edge, request, before, body)?;
    let remote = remote(edge, request, &ask)?;
    let (known, content) = awaited(edge, request, ask, remote).await?;
    let name = request.params.iter().find(|(key, _)| *key == "fileName").map(|(_, value)| value.as_str());
    Ok(answer(&known, content, name))
}

/// Which content is asked for, and under what conditions.
pub(crate) fn question(
    edge: &Edge,
    request: &Incoming,
    before: Option<Millis>,
    body: bool,
) -> Result<FetchMedia, MatrixError> {
    Ok(FetchMedia {
        media: named(edge, request)?,
        before,
        // Ranges mean nothing to HEAD (RFC 9110, 14.2).
        range: request.header("range").filter(|_| body),
        if_range: request.header("if-range"),
        if_none_match: request.header("if-none-match"),
        body,
        envelope: None,
        ts: edge.now(),
    })
}

/// Of another server, and may be copied from there.
pub(crate) fn remote(edge: &Edge, request: &Incoming, ask: &FetchMedia) -> Result<Option<MediaRef>, MatrixError> {
    let is_remote = ask.media.origin != edge.config.server_name;
    if is_remote && ask.before.is_some() {
        return Err(MatrixError::not_found("No such media"));
    }
    let allowed = request.query("allow_remote") != Some("false");
    Ok((is_remote && allowed).then(|| ask.media.clone()))
}

/// Asks, and asks again, less and less often, while the content is awaited. What is `remote` and not here is brought.
pub(crate) async fn awaited<R: MediaRequest<Reply = Fetched> + Clone>(
    edge: &Edge,
    request: &Incoming,
    ask: R,
    mut remote: Option<MediaRef>,
) -> Result<(Fetched, ResponseBody), MatrixError> {
    let wait_ms = request.query_number("timeout_ms")?.unwrap_or(DEFAULT_WAIT_MS).min(MAX_WAIT_MS);
    let (mut waited, mut pause) = (0, 250);
    loop {
        let error = match edge.wire.ask_media(ask.clone(), None).await {
            Err(error) if error.errcode == WITHHELD => return Err(MatrixError::not_found("No such media")),
            Err(error) => error,
            found => return found,
        };
        match (&remote, &*error.errcode) {
            (Some(media), "M_NOT_FOUND") => match copy(edge, media, wait_ms.saturating_sub(waited)).await? {
                Copied::Here => {
                    remote = None;
                    continue;
                }
                Copied::Underway if waited < wait_ms => {}
                Copied::Underway => return Err(underway()),
            },
            (_, "M_NOT_YET_UPLOADED") if waited < wait_ms => {}
            _ => return Err(error),
        }
        pause = (pause * 2).min(wait_ms - waited).min(5_000);
        edge.wire.sleep(pause).await;
        waited += pause;
    }
}

async fn copy(edge: &Edge, media: &MediaRef, wait_ms: u64) -> Result<Copied, MatrixError> {
    let media = media.clone();
    // Many clients give up what scrolls out of sight, and want it again.
    edge.outlasting(async move |edge| remote_media::copy(edge, media, wait_ms, edge.media.max_upload, edge.now()).await)
        .await
}

fn underway() -> MatrixError {
    MatrixError::new(504, "M_NOT_YET_UPLOADED", "The media is still on its way")
}

/// Content as a browser may have it.
pub(crate) fn answer(known: &Fetched, content: ResponseBody, wanted_name: Option<&str>) -> Answer {
    let name = wanted_name.or(known.name.as_deref()).and_then(FileName::clean);
    let mut headers: Vec<_> = serve::INERT.map(|(name, value)| (name, value.to_owned())).into();
    headers.push(("etag", known.tag.clone()));
    headers.push(("cache-control", serve::CACHE_CONTROL.to_owned()));
    let (status, length) = match known.follows {
        Follows::Unchanged => return Answer::content(304, headers, ResponseBody::Empty),
        Follows::Unsatisfiable => {
            let error = MatrixError::new(416, "M_INVALID_PARAM", "The range is beyond the end");
            headers.push(("content-range", format!("bytes */{}", known.size)));
            headers.push(("content-type", "application/json".to_owned()));
            let body = ResponseBody::Body(error.to_json().to_string().into_bytes());
            return Answer::content(416, headers, body);
        }
        Follows::Whole => (200, known.size),
        Follows::Span(first, last) => {
            headers.push(("content-range", format!("bytes {first}-{last}/{}", known.size)));
            (206, last.saturating_sub(first).saturating_add(1))
        }
    };
    headers.push(("accept-ranges", "bytes".to_owned()));
    headers.push(("content-length", length.to_string()));
    headers.push(("content-type", known.content_type.clone()));
    headers.push(("content-disposition", serve::disposition(&known.content_type, name.as_ref())));
    Answer::content(status, headers, content)
}

/// A name that nobody has.
fn fresh(edge: &Edge) -> MediaRef {
    let mut bytes = [0; MediaId::RANDOM_BYTES];
    edge.fill(&mut bytes);
    MediaRef { origin: edge.config.server_name.clone(), media_id: MediaId::random(bytes).as_str().to_owned() }
}

/// The name in the path. However the name of a server is written, it is one server.
pub(crate) fn named(edge: &Edge, request: &Incoming) -> Result<MediaRef, MatrixError> {
    let (own, origin) = (&edge.config.server_name, request.param("serverName"));
    let origin = if origin.eq_ignore_ascii_case(own.as_str()) {
        own.clone()
    } else {
        OwnedServerName::try_from(origin.to_ascii_lowercase())
            .map_err(|_| MatrixError::invalid_param("Not a server name"))?
    };
    let media_id = MediaId::parse(request.param("mediaId"))?;
    Ok(MediaRef { origin, media_id: media_id.as_str().to_owned() })
}
