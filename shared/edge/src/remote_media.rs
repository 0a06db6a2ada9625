//! Media of another homeserver: a copy is brought here once and served from here (Server-Server API, "Content Repository").
//!
//! What it takes of federation is a port, so that nothing here is called before requests are signed and servers found. The
//! envelope is not opened here: its body goes to the storage worker unread.

use std::future::Future;

use ruma::ServerName;
use tern_media::serve;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    outbound::{HttpError, Reach, address},
    wire::media::{MediaRef, StoreMedia, Stored},
};
use url::Url;

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
pub trait Peers {
    /// A body on its way.
    type Body;

    /// Sends a signed `GET` to a homeserver, wherever it is.
    fn ask(&self, origin: &ServerName, path: &str) -> impl Future<Output = Result<Reply<Self::Body>, HttpError>>;

    /// Sends a plain `GET` to an address that was looked at, without following redirects.
    fn get(&self, url: &Url) -> impl Future<Output = Result<Reply<Self::Body>, HttpError>>;

    /// Passes a body on to the storage worker.
    fn store(&self, ask: StoreMedia, body: Self::Body) -> impl Future<Output = Result<Stored, MatrixError>>;
}

/// Brings a copy of `media`. Afterwards it is fetched like any other.
///
/// # Errors
/// 404 `M_NOT_FOUND`, 504 `M_NOT_YET_UPLOADED`, 502 `M_TOO_LARGE` for what is longer than `max_length`, and 502 `M_UNKNOWN` for
/// every other failure of the other server.
pub async fn copy(
    peers: &impl Peers,
    media: MediaRef,
    timeout_ms: u64,
    max_length: u64,
    ts: Millis,
) -> Result<(), MatrixError> {
    let path = format!("/_matrix/federation/v1/media/download/{}?timeout_ms={timeout_ms}", media.media_id);
    let reply = accepted(peers.ask(&media.origin, &path).await?, max_length)?;
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

/// Brings it from where the other server keeps it, which may not be a place that only this server can reach.
async fn follow(peers: &impl Peers, ask: StoreMedia, url: &str) -> Result<(), MatrixError> {
    let url = Url::parse(url).map_err(|_| failed())?;
    address::check(&url, Reach::Public, false).map_err(|_| failed())?;
    let reply = accepted(peers.get(&url).await?, ask.max_length)?;
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
