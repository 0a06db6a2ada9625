//! From a handler's result to HTTP: the one place that writes a response.

use serde::Serialize;
use tern_model::{MatrixError, RawJson};
use worker::{EncodeBody, Headers, Response, ResponseBody, ResponseBuilder};

/// What a handler answers.
pub(crate) struct Answer {
    status: u16,
    body: Body,
}

/// The body of an answer.
enum Body {
    /// None.
    Nothing,
    /// JSON.
    Json(String),
    /// Content with headers of its own, passed through unread.
    Content(Vec<(&'static str, String)>, ResponseBody),
}

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
        Self { status: 200, body: Body::Json(body) }
    }

    /// Content with headers of its own.
    pub(crate) const fn content(status: u16, headers: Vec<(&'static str, String)>, body: ResponseBody) -> Self {
        Self { status, body: Body::Content(headers, body) }
    }

    /// One more header of content.
    pub(crate) fn header(&mut self, name: &'static str, value: &str) {
        if let Body::Content(headers, _) = &mut self.body {
            headers.push((name, value.to_owned()));
        }
    }

    /// 200 with `{}`.
    pub(crate) fn empty() -> Self {
        Self::text("{}".to_owned())
    }

    /// 204, for a preflight.
    pub(crate) const fn nothing() -> Self {
        Self { status: 204, body: Body::Nothing }
    }
}

/// Writes the response; with the CORS headers of the Client-Server API only for a request that carried `Origin`.
pub(crate) fn write(result: Result<Answer, MatrixError>, cors: bool) -> worker::Result<Response> {
    let headers = Headers::new();
    if cors {
        headers.set("access-control-allow-origin", "*")?;
        headers.set("access-control-allow-methods", "GET, POST, PUT, DELETE, PATCH, OPTIONS")?;
        headers.set("access-control-allow-headers", "X-Requested-With, Content-Type, Authorization")?;
    }
    let answer = result.or_else(|error| refusal(&error, &headers))?;
    let builder = ResponseBuilder::new().with_status(answer.status);
    match answer.body {
        Body::Nothing => Ok(builder.with_headers(headers).empty()),
        Body::Json(text) => {
            headers.set("content-type", "application/json")?;
            Ok(builder.with_headers(headers).fixed(text.into_bytes()))
        }
        Body::Content(own, body) => {
            for (name, value) in own {
                headers.set(name, &value)?;
            }
            // As it is: the length that was announced holds, and pictures do not get smaller.
            Ok(builder.with_headers(headers).with_encode_body(EncodeBody::Manual).body(body))
        }
    }
}

fn refusal(error: &MatrixError, headers: &Headers) -> worker::Result<Answer> {
    if let Some(ms) = error.retry_after_ms {
        headers.set("retry-after", &ms.div_ceil(1000).to_string())?;
    }
    Ok(Answer { status: error.status, body: Body::Json(error.to_json().to_string()) })
}
