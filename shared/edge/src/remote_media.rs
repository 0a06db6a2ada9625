//! Media of another homeserver: a copy is brought here once and served from here (Server-Server API, "Content Repository").
//!
//! The object of the other server says where it is and signs the request, and lets one at a time copy a medium. The content
//! goes another way: from the other server through this worker to the storage worker, which opens its envelope, and nobody
//! holds it.

use std::future::Future;

use tern_media::serve;
use tern_model::{Bounded, MatrixError, Millis, Name};
use tern_ports::{
    Outbound, Transport, ask_destination,
    outbound::{HttpError, address},
    wire::{
        destination::{EndMediaLease, LeaseMedia, MediaLease},
        media::{MediaRef, StoreMedia, Stored},
    },
};
use url::Url;

use crate::federation::requests::object_of;

/// What came back, its body unread.
pub struct Reply<B> {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Length`.
    pub length: Option<u64>,
    /// `Content-Disposition`.
    pub disposition: Option<String>,
    /// The body.
    pub body: B,
}

/// The ways to other homeservers and to the storage worker, for bodies that nobody holds.
pub trait Peers: Transport + Outbound {
    /// A body on its way.
    type Body;

    /// Sends a `GET` to an address that was looked at, signed or plain, without following redirects.
    fn get(&self, url: &Url, authorization: Option<&str>)
    -> impl Future<Output = Result<Reply<Self::Body>, HttpError>>;

    /// Passes a body on to the storage worker.
    fn store(&self, ask: StoreMedia, body: Self::Body) -> impl Future<Output = Result<Stored, MatrixError>>;
}

/// What became of the wish for a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is here, and fetched like any other.
    Here,
    /// Somebody else brings it.
    Underway,
}

/// Brings a copy of `media`, unless somebody does. The other server is told to wait `timeout_ms` for what is still to come.
///
/// # Errors
/// 404 `M_NOT_FOUND`, 504 `M_NOT_YET_UPLOADED`, 502 `M_TOO_LARGE` for what is longer than `max_length`, and 502 `M_UNKNOWN` for
/// every other failure of the other server; those of [`LeaseMedia`].
pub async fn copy(
    peers: &impl Peers,
    media: MediaRef,
    timeout_ms: u64,
    max_length: u64,
    ts: Millis,
) -> Result<Copied, MatrixError> {
    let (server, media_id) = (object_of(&media.origin)?, Name::new(media.media_id.as_str())?);
    let target = format!("/_matrix/federation/v1/media/download/{media_id}?timeout_ms={timeout_ms}");
    let lease = LeaseMedia { media_id: media_id.clone(), target: Bounded::new(target)? };
    let (url, authorization) = match ask_destination(peers, &server, lease).await? {
        MediaLease::Held => return Ok(Copied::Underway),
        MediaLease::Granted { url, authorization } => (url, authorization),
    };
    let brought = bring(peers, media, (&url, &authorization), max_length, ts).await;
    let end = EndMediaLease { media_id, failure: brought.as_ref().err().cloned() };
    // Otherwise it ends by itself.
    let _ended = ask_destination(peers, &server, end).await;
    brought.map(|()| Copied::Here)
}

async fn bring(
    peers: &impl Peers,
    media: MediaRef,
    (url, authorization): (&str, &str),
    max_length: u64,
    ts: Millis,
) -> Result<(), MatrixError> {
    let reply = accepted(peers.get(&looked_at(peers, url)?, Some(authorization)).await?, max_length)?;
    let ask = StoreMedia {
        media,
        user_id: None,
        reserved: false,
        content_type: serve::UNKNOWN_TYPE.to_owned(),
        name: None,
        picture: false,
        envelope: Some(reply.content_type.unwrap_or_default()),
        max_length,
        quota: None,
        ts,
    };
    let stored = stored(peers.store(ask.clone(), reply.body).await)?;
    match stored.elsewhere {
        Some(url) => follow(peers, ask, &url).await,
        None => Ok(()),
    }
}

/// An address that may be asked: not one that only this server can reach.
fn looked_at(peers: &impl Peers, url: &str) -> Result<Url, MatrixError> {
    let url = Url::parse(url).map_err(|_| failed())?;
    address::check(&url, peers.reach(), false).map_err(|_| failed())?;
    Ok(url)
}

/// Brings it from where the other server keeps it.
async fn follow(peers: &impl Peers, ask: StoreMedia, url: &str) -> Result<(), MatrixError> {
    let reply = accepted(peers.get(&looked_at(peers, url)?, None).await?, ask.max_length)?;
    let name = reply.disposition.as_deref().and_then(tern_media::FileName::from_disposition);
    let ask = StoreMedia {
        content_type: serve::content_type(reply.content_type.as_deref()),
        name: name.map(|name| name.as_str().to_owned()),
        envelope: None,
        ..ask
    };
    stored(peers.store(ask, reply.body).await).map(|_| ())
}

fn accepted<B>(reply: Reply<B>, max_length: u64) -> Result<Reply<B>, MatrixError> {
    match reply.status {
        200 if reply.length.is_some_and(|length| length > max_length) => Err(too_large()),
        200 => Ok(reply),
        404 => Err(MatrixError::not_found("No such media")),
        504 => Err(MatrixError::new(504, "M_NOT_YET_UPLOADED", "The media has not been uploaded yet")),
        _ => Err(failed()),
    }
}

/// What became of the copy, as those who wait for it are told.
fn stored(result: Result<Stored, MatrixError>) -> Result<Stored, MatrixError> {
    match result {
        // Somebody else brought it meanwhile.
        Err(error) if error.errcode == "M_CANNOT_OVERWRITE_MEDIA" => Ok(Stored::default()),
        Err(error) if error.status == 413 => Err(too_large()),
        // The other server's body broke off, not the client's.
        Err(error) if error.status < 500 => Err(failed()),
        other => other,
    }
}

fn too_large() -> MatrixError {
    MatrixError::new(502, "M_TOO_LARGE", "The media is larger than this server takes over")
}

fn failed() -> MatrixError {
    MatrixError::new(502, "M_UNKNOWN", "The other server did not answer as it should")
}
