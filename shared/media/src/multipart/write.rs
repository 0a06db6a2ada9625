//! Writing.

use tern_model::MatrixError;

use super::Described;
use crate::{MediaId, serve};

/// What stands between the parts: random, so that no content contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary out of random bytes.
    #[must_use]
    pub fn random(bytes: [u8; MediaId::RANDOM_BYTES]) -> Self {
        Self(MediaId::random(bytes).as_str().to_owned())
    }

    /// A boundary as another part of this server made it.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM` when it is not one.
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        MediaId::parse(text).map(|id| Self(id.as_str().to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> String {
        format!("multipart/mixed; boundary={}", self.0)
    }
}

/// What stands before the content: the first part and the headers of the second.
#[must_use]
pub fn opening(boundary: &Boundary, media: &Described) -> String {
    let disposition = serve::disposition(&media.content_type, media.name.as_ref());
    let headers = format!("Content-Type: {}\r\nContent-Disposition: {disposition}", media.content_type);
    parts(boundary, &headers)
}

/// What stands after the content.
#[must_use]
pub fn closing(Boundary(boundary): &Boundary) -> String {
    format!("\r\n--{boundary}--\r\n")
}

/// All of an answer that says where the media can be had. `url` is one that was written by the `url` crate: one line of
/// ASCII.
#[must_use]
pub fn redirection(boundary: &Boundary, url: &str) -> String {
    parts(boundary, &format!("Location: {url}")) + &closing(boundary)
}

fn parts(Boundary(boundary): &Boundary, headers: &str) -> String {
    format!("--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\n{headers}\r\n\r\n")
}
