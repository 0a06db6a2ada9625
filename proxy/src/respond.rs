//! From a handler's result to HTTP: the one place that writes a response.

use serde::Serialize;
use tern_model::{MatrixError, RawJson};
use worker::{Headers, Response, ResponseBuilder};

/// What a handler answers.
pub(crate) struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    /// 200 with `value`.
    pub(crate) fn json<T: Serialize>(value: &T) -> Result<Self, MatrixError> {
        let body = serde_json::to_string(value).map_err(|_| MatrixError::internal())?;
        Ok(Self { status: 200, body })
    }

    /// 200 with JSON that is ready.
    pub(crate) fn raw(json: &RawJson) -> Self {
        Self::text(json.text().to_owned())
    }

    /// 200 with JSON text that is ready.
    pub(crate) const fn text(body: String) -> Self {
        Self { status: 200, body }
    }

    /// 200 with `{}`.
    pub(crate) fn empty() -> Self {
        Self::text("{}".to_owned())
    }

    /// 204, for a preflight.
    pub(crate) const fn nothing() -> Self {
        Self { status: 204, body: String::new() }
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
    let (status, body) = match result {
        Ok(answer) => (answer.status, answer.body),
        Err(error) => {
            if let Some(ms) = error.retry_after_ms {
                headers.set("retry-after", &ms.div_ceil(1000).to_string())?;
            }
            (error.status, error.to_json().to_string())
        }
    };
    let builder = ResponseBuilder::new().with_status(status);
    if status == 204 {
        return Ok(builder.with_headers(headers).empty());
    }
    headers.set("content-type", "application/json")?;
    Ok(builder.with_headers(headers).fixed(body.into_bytes()))
}
