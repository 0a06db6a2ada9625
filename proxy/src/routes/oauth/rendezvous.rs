//! Where two devices meet that scanned a QR code: MSC4108 in its form of 2024, and MSC4388.

use serde::Deserialize;
use serde_json::json;
use tern_auth::secret;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Clock, Entropy, ask_device_sign_in,
    wire::device_sign_in::{CloseRendezvous, Message, OpenRendezvous, ReadRendezvous, UpdateRendezvous},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Post "/_matrix/client/unstable/org.matrix.msc4108/rendezvous" => open_plain;
    Open Get "/_matrix/client/unstable/org.matrix.msc4108/rendezvous/{rendezvousId}" => read_plain;
    Open Put "/_matrix/client/unstable/org.matrix.msc4108/rendezvous/{rendezvousId}" => update_plain;
    Open Delete "/_matrix/client/unstable/org.matrix.msc4108/rendezvous/{rendezvousId}" => close_plain;
    Open Get "/_matrix/client/unstable/io.element.msc4388/rendezvous" => available;
    Open Post "/_matrix/client/unstable/io.element.msc4388/rendezvous" => open;
    Open Get "/_matrix/client/unstable/io.element.msc4388/rendezvous/{rendezvousId}" => read;
    Open Put "/_matrix/client/unstable/io.element.msc4388/rendezvous/{rendezvousId}" => update;
    Open Delete "/_matrix/client/unstable/io.element.msc4388/rendezvous/{rendezvousId}" => close;
};

/// Longest message, in bytes.
const MAX_MESSAGE: usize = 4_096;
/// How long a rendezvous lasts, in milliseconds: time enough to sign in on the pages.
const LASTS: u64 = 10 * 60 * 1000;

/// MSC4108: `POST /rendezvous`
async fn open_plain(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let (id, message) = begin(edge, plain(request)?).await?;
    let url = format!("{}/_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}", edge.config.base_url());
    Ok(described(Answer::json(&json!({ "url": url }))?.with_status(201), &message))
}

/// MSC4108: `GET /rendezvous/{rendezvousId}`
async fn read_plain(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let message = find(edge, request).await?;
    if request.header("if-none-match").is_some_and(|seen| seen == tag(&message)) {
        return Ok(described(Answer::bare(304), &message));
    }
    let answer = Answer::text(message.data.clone()).with_header("content-type", "text/plain");
    Ok(described(answer, &message))
}

/// MSC4108: `PUT /rendezvous/{rendezvousId}`
async fn update_plain(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let seen = request.header("if-match").ok_or_else(|| MatrixError::missing_param("If-Match is missing"))?;
    let message = replace(edge, request, seen.trim_matches('"').to_owned(), plain(request)?).await?;
    Ok(described(Answer::empty().with_status(202), &message))
}

/// MSC4108: `DELETE /rendezvous/{rendezvousId}`
async fn close_plain(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    end(edge, request).await?;
    Ok(Answer::nothing())
}

/// MSC4388: `GET /rendezvous`
async fn available(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&json!({ "create_available": true }))
}

/// MSC4388: `POST /rendezvous`
async fn open(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        data: String,
    }
    let Body { data } = request.json()?;
    let (id, message) = begin(edge, short(data)?).await?;
    let left = message.expires.since(edge.now());
    let answer = json!({ "id": id, "sequence_token": message.sequence, "expires_in_ms": left });
    Ok(Answer::json(&answer)?.with_header("cache-control", "no-store"))
}

/// MSC4388: `GET /rendezvous/{rendezvousId}`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let Message { sequence, data, expires, .. } = find(edge, request).await?;
    let answer = json!({ "sequence_token": sequence, "data": data, "expires_in_ms": expires.since(edge.now()) });
    Ok(Answer::json(&answer)?.with_header("cache-control", "no-store"))
}

/// MSC4388: `PUT /rendezvous/{rendezvousId}`
async fn update(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        sequence_token: String,
        data: String,
    }
    let Body { sequence_token, data } = request.json()?;
    match replace(edge, request, sequence_token, short(data)?).await {
        Ok(message) => Answer::json(&json!({ "sequence_token": message.sequence })),
        Err(error) if error.status == 412 => {
            Err(MatrixError::new(409, "IO_ELEMENT_MSC4388_CONCURRENT_WRITE", "The other device has written meanwhile"))
        }
        Err(error) => Err(error),
    }
}

/// MSC4388: `DELETE /rendezvous/{rendezvousId}`
async fn close(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    find(edge, request).await?;
    end(edge, request).await?;
    Ok(Answer::empty())
}

async fn begin(edge: &Edge, data: String) -> Result<(String, Message), MatrixError> {
    let mut bytes = [0; 18];
    edge.fill(&mut bytes);
    let id = secret::base64(&bytes);
    let open = OpenRendezvous { data, expires: edge.now().plus(LASTS) };
    let message = ask_device_sign_in(edge, &format!("rendezvous:{id}"), open).await?;
    Ok((id, message))
}

async fn find(edge: &Edge, request: &Incoming) -> Result<Message, MatrixError> {
    let message = ask_device_sign_in(edge, &name(request)?, ReadRendezvous {}).await?;
    message.ok_or_else(|| MatrixError::not_found("No such rendezvous"))
}

async fn replace(edge: &Edge, request: &Incoming, sequence: String, data: String) -> Result<Message, MatrixError> {
    ask_device_sign_in(edge, &name(request)?, UpdateRendezvous { sequence, data }).await
}

async fn end(edge: &Edge, request: &Incoming) -> Result<(), MatrixError> {
    ask_device_sign_in(edge, &name(request)?, CloseRendezvous {}).await.map(|_| ())
}

/// The object's name; what cannot be an id of ours is looked for nowhere.
fn name(request: &Incoming) -> Result<String, MatrixError> {
    let id = request.param("rendezvousId");
    let ours = id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if ours { Ok(format!("rendezvous:{id}")) } else { Err(MatrixError::not_found("No such rendezvous")) }
}

fn plain(request: &Incoming) -> Result<String, MatrixError> {
    if !request.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")) {
        return Err(MatrixError::invalid_param("The content type must be text/plain"));
    }
    short(String::from_utf8(request.body.clone()).map_err(|_| MatrixError::invalid_param("The body is not UTF-8"))?)
}

fn short(data: String) -> Result<String, MatrixError> {
    if data.len() > MAX_MESSAGE {
        Err(MatrixError::too_large("The message is longer than 4096 bytes"))
    } else {
        Ok(data)
    }
}

fn tag(message: &Message) -> String {
    format!("\"{}\"", message.sequence)
}

/// What MSC4108 says of a message in headers.
fn described(answer: Answer, message: &Message) -> Answer {
    answer
        .with_header("etag", tag(message))
        .with_header("expires", http_date(message.expires))
        .with_header("last-modified", http_date(message.modified))
        .with_header("cache-control", "no-store")
        .with_header("pragma", "no-cache")
        .with_header("x-max-bytes", MAX_MESSAGE.to_string())
        .with_header("access-control-expose-headers", "ETag, Expires, Last-Modified, X-Max-Bytes")
}

/// A time as HTTP writes it (RFC 9110, 5.6.7).
fn http_date(at: Millis) -> String {
    crate::cf::ambient::http_date(at)
}
