//! Asking servers that are not ours, at addresses that others may have chosen.
//!
//! Callers use [`fetch()`]: it looks at every address before it is asked, follows redirects itself, and so no adapter can
//! forget to. An adapter carries one request and brings its answer, within [`Bounds`].
//!
//! A name is judged as it is written, since the platform resolves it: what a public name leads to is the platform's to
//! refuse (at Cloudflare by `global_fetch_strictly_public`).

pub mod address;
mod fetch;

use std::future::Future;

use serde::{Deserialize, Serialize};
use tern_model::MatrixError;
pub use url::Url;

pub use self::{address::Reach, fetch::fetch};

/// What a request does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Reads.
    #[default]
    Get,
    /// Does something, perhaps again when repeated.
    Post,
    /// Does something, once however often it is repeated.
    Put,
}

impl HttpMethod {
    /// The name in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// What it does.
    pub method: HttpMethod,
    /// Where to.
    pub url: Url,
    /// Beside what the platform sends anyway.
    pub headers: Vec<(String, String)>,
    /// What a `POST` or `PUT` carries.
    pub body: Option<Vec<u8>>,
}

impl HttpRequest {
    /// A `GET`.
    pub const fn get(url: Url) -> Self {
        Self { method: HttpMethod::Get, url, headers: Vec::new(), body: None }
    }

    /// A `POST` of a body of this type.
    pub fn post(url: Url, content_type: &str, body: Vec<u8>) -> Self {
        Self { method: HttpMethod::Post, body: Some(body), ..Self::get(url) }.with_header("content-type", content_type)
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// How much somebody else's server may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Until the last byte of an answer, in milliseconds, for each redirect anew.
    pub timeout_ms: u64,
    /// Bytes of the body, after decompression.
    pub max_bytes: usize,
    /// A longer body is cut; otherwise it is [`HttpError::TooLarge`].
    pub cut: bool,
    /// How many redirects are followed. Only a `GET` is repeated elsewhere.
    pub redirects: u8,
    /// Also `http:` is asked.
    pub plain: bool,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Where it came from, after redirects.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The headers, their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// The body is longer.
    pub is_cut: bool,
}

impl HttpAnswer {
    /// The first header of this name, which is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address is not asked.
    #[error("{0}")]
    Refused(&'static str),
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// The body is too long.
    #[error("the answer is too long")]
    TooLarge,
    /// There were more redirects than allowed, or one of another method than `GET`.
    #[error("redirected too often")]
    Redirected,
    /// The server cannot be reached.
    #[error("unreachable: {0}")]
    Unreachable(String),
}

impl From<HttpError> for MatrixError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Refused(reason) => Self::forbidden(reason),
            HttpError::Late => Self::new(504, "M_UNKNOWN", "The other server did not answer in time"),
            HttpError::TooLarge | HttpError::Redirected | HttpError::Unreachable(_) => {
                Self::new(502, "M_UNKNOWN", "The other server cannot be asked")
            }
        }
    }
}

/// The way out.
pub trait Outbound {
    /// Which addresses may be asked at all.
    fn reach(&self) -> Reach;

    /// Carries one request and brings its answer, without following a redirect. Only [`fetch()`] calls it.
    fn exchange(&self, request: &HttpRequest, bounds: &Bounds) -> impl Future<Output = Result<HttpAnswer, HttpError>>;
}
