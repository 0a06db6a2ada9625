//! From a handler's result to HTTP: the one place that writes a response.

use futures::{Stream, StreamExt, TryStreamExt, stream::LocalBoxStream};
use serde::Serialize;
use tern_auth::oauth::error::error_response as oauth_error_response;
use tern_model::{MatrixError, RawJson};
use worker::{EncodeBody, Headers, Method, Request, Response, ResponseBody, ResponseBuilder};

const JSON: &str = "application/json";

/// What a handler answers.
pub(crate) struct Answer {
    status: u16,
    body: Body,
    /// Beside the usual ones; a `content-type` here replaces the usual one.
    headers: Vec<(&'static str, String)>,
    /// Scripts of other sites may read it, as the Client-Server API wants. A page may not be read so.
    shared: bool,
}

/// The body of an answer.
enum Body {
    /// None.
    Nothing,
    /// Text, by default JSON.
    Text(String),
    /// JSON in pieces that are made while the client reads.
    Pieces(Pieces),
    /// Content that is passed through unread.
    Content(ResponseBody),
}

type Pieces = LocalBoxStream<'static, Result<String, MatrixError>>;

impl Answer {
    /// 200 with `value`.
    pub(crate) fn json<T: Serialize>(value: &T) -> Result<Self, MatrixError> {
        let body = serde_json::to_string(value).map_err(|_| MatrixError::internal())?;
        Ok(Self::text(body))
    }

    /// 200 with JSON that is ready.
    pub(crate) fn raw(json: &RawJson) -> Self {
        Self::text(json.text().to_owned())
    }

    /// 200 with JSON text that is ready.
    pub(crate) const fn text(body: String) -> Self {
        Self::of(200, Body::Text(body))
    }

    /// 200 with JSON whose pieces are made while the client reads them; an error breaks it off.
    pub(crate) fn pieces(pieces: impl Stream<Item = Result<String, MatrixError>> + 'static) -> Self {
        Self::of(200, Body::Pieces(pieces.boxed_local()))
    }

    /// Content with headers of its own.
    pub(crate) const fn content(status: u16, headers: Vec<(&'static str, String)>, body: ResponseBody) -> Self {
        Self { status, body: Body::Content(body), headers, shared: true }
    }

    /// 200 with `{}`.
    pub(crate) fn empty() -> Self {
        Self::text("{}".to_owned())
    }

    /// 204.
    pub(crate) const fn nothing() -> Self {
        Self::of(204, Body::Nothing)
    }

    /// What a browser asks before it asks something of another site (Fetch, 3.3.3; Client-Server API, "Web Browser Clients").
    pub(crate) fn preflight() -> Self {
        Self::nothing()
            .with_header("access-control-allow-methods", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")
            .with_header(
                "access-control-allow-headers",
                "X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match",
            )
    }

    /// Without a body.
    pub(crate) const fn bare(status: u16) -> Self {
        Self::of(status, Body::Nothing)
    }

    /// An error in the shape that OAuth clients know.
    pub(crate) fn oauth(error: &MatrixError) -> Self {
        let error_response = oauth_error_response(error);
        let answer = Self::of(error_response.status, Body::Text(error_response.body.to_string()));
        let answer = answer.with_header("cache-control", "no-store");
        match error_response.retry_after_s {
            Some(seconds) => answer.with_header("retry-after", seconds.to_string()),
            None => answer,
        }
    }

    /// The same, with how one may identify oneself (RFC 9110, 11.6.1).
    pub(crate) fn challenge(error: &MatrixError, how: &str) -> Self {
        Self::oauth(error).with_header("www-authenticate", how)
    }

    /// A page for people, at whatever status.
    pub(crate) fn page(status: u16, body: String) -> Self {
        let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
        Self { status, body: Body::Text(body), headers, shared: false }
    }

    /// With another status.
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// With one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A cache may keep it.
    fn is_kept(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == "cache-control")
    }

    /// The answer to `HEAD`: as to `GET`, without the body (RFC 9110, 9.3.2).
    fn without_body(self) -> Self {
        let (json, length) = match &self.body {
            Body::Text(text) => (true, Some(text.len())),
            Body::Pieces(_) => (true, None),
            Body::Nothing | Body::Content(_) => (false, None),
        };
        let typed = !json || self.headers.iter().any(|(name, _)| *name == "content-type");
        let mut answer = Self { body: Body::Content(ResponseBody::Empty), ..self };
        if !typed {
            answer.headers.push(("content-type", JSON.to_owned()));
        }
        answer.headers.extend(length.map(|length| ("content-length", length.to_string())));
        answer
    }

    const fn of(status: u16, body: Body) -> Self {
        Self { status, body, headers: Vec::new(), shared: true }
    }
}

/// The status of what will be written.
pub(crate) fn status(result: &Result<Answer, MatrixError>) -> u16 {
    result.as_ref().map_or_else(|error| error.status, |answer| answer.status)
}

/// Bytes of the body that will be written; of content that is passed through, and of errors, nothing is known.
pub(crate) fn length(result: &Result<Answer, MatrixError>) -> u64 {
    match result.as_ref().map(|answer| &answer.body) {
        Ok(Body::Text(text)) => text.len() as u64,
        Ok(Body::Nothing | Body::Content(_) | Body::Pieces(_)) | Err(_) => 0,
    }
}

/// What of a request decides how its answer is written.
pub(crate) struct Reader {
    /// It is a script of some site.
    has_origin: bool,
    /// It sent a token.
    has_token: bool,
    /// It asked for the headers alone.
    head: bool,
}

impl Reader {
    /// Whoever sent `request`.
    pub(crate) fn of(request: &Request) -> worker::Result<Self> {
        let headers = request.headers();
        let (has_origin, has_token) = (headers.has("origin")?, headers.has("authorization")?);
        Ok(Self { has_origin, has_token, head: request.method() == Method::Head })
    }

    /// Whether the answer says that scripts of other sites may read it. A cache may give an answer to somebody else than
    /// it was made for, so what can be kept says it to everybody; what was asked with a token and is not kept, as every
    /// sync is, only where a script asks.
    fn is_told(&self, answer: &Answer) -> bool {
        answer.shared && (self.has_origin || !self.has_token || answer.is_kept())
    }
}

/// Writes the response; with `Server-Timing` only for a request that asked.
pub(crate) fn write(
    result: Result<Answer, MatrixError>,
    reader: &Reader,
    timing: Option<String>,
) -> worker::Result<Response> {
    let answer = result.unwrap_or_else(|error| error_response(&error));
    let answer = if reader.head { answer.without_body() } else { answer };
    let headers = Headers::new();
    if let Some(timing) = timing {
        headers.set("server-timing", &timing)?;
    }
    if reader.is_told(&answer) {
        headers.set("access-control-allow-origin", "*")?;
    }
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    let builder = ResponseBuilder::new().with_status(answer.status);
    match answer.body {
        Body::Nothing => Ok(builder.with_headers(headers).empty()),
        Body::Text(text) => Ok(builder.with_headers(as_json(headers)?).fixed(text.into_bytes())),
        Body::Pieces(pieces) => {
            let broken = |error: MatrixError| worker::Error::RustError(error.to_string());
            builder.with_headers(as_json(headers)?).from_stream(pieces.map_ok(String::into_bytes).map_err(broken))
        }
        // As it is: the length that was announced holds, and pictures do not get smaller.
        Body::Content(body) => Ok(builder.with_headers(headers).with_encode_body(EncodeBody::Manual).body(body)),
    }
}

fn as_json(headers: Headers) -> worker::Result<Headers> {
    if !headers.has("content-type")? {
        headers.set("content-type", JSON)?;
    }
    Ok(headers)
}

fn error_response(error: &MatrixError) -> Answer {
    let answer = Answer::of(error.status, Body::Text(error.to_json().to_string()));
    match error.retry_after_ms {
        Some(ms) => answer.with_header("retry-after", ms.div_ceil(1000).to_string()),
        None => answer,
    }
}
