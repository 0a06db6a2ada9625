//! `fetch` to servers that are not ours; what is read, and what is passed on unread.

use std::{pin::pin, time::Duration};

use futures::{
    StreamExt,
    future::{Either, select},
};
use tern_edge::remote_media::Reply;
use tern_ports::outbound::{Bounds, HttpAnswer, HttpError, HttpMethod, HttpRequest, Url};
use wasm_bindgen::JsValue;
use worker::{
    AbortController, AbortSignal, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response,
    ResponseBody,
};

/// Until the headers of content, in milliseconds: the other server may wait for its uploader meanwhile.
const HEADERS_MS: u64 = 45_000;

/// How this server calls itself.
const AGENT: &str = "Tern";

/// Carries one request and brings its answer. Whatever is not read to its end is broken off.
pub(crate) async fn exchange(request: &HttpRequest, bounds: &Bounds) -> Result<HttpAnswer, HttpError> {
    let controller = AbortController::default();
    let signal = controller.signal();
    let late = pin!(Delay::from(Duration::from_millis(bounds.timeout_ms)));
    let answer = match select(pin!(answer(request, bounds, &signal)), late).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(HttpError::Late),
    };
    if answer.as_ref().map_or(true, |answer| answer.is_cut) {
        controller.abort();
    }
    answer
}

/// Content on its way, until somebody breaks it off.
pub(crate) struct Passing {
    /// The stream; none when there is no content.
    pub(crate) stream: Option<JsValue>,
    controller: Option<AbortController>,
}

impl Drop for Passing {
    /// Breaks it off, if it has not come to its end.
    fn drop(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.abort();
        }
    }
}

/// Asks for content, whose address was looked at, and leaves it unread.
pub(crate) async fn open(url: &Url, authorization: Option<&str>) -> Result<Reply<Passing>, HttpError> {
    let mut request = HttpRequest::get(url.clone()).with_header("user-agent", AGENT);
    if let Some(authorization) = authorization {
        request = request.with_header("authorization", authorization);
    }
    let controller = AbortController::default();
    let signal = controller.signal();
    let late = pin!(Delay::from(Duration::from_millis(HEADERS_MS)));
    let response = match select(pin!(send(&request, &signal)), late).await {
        Either::Left((response, _)) => response.map_err(unreachable)?,
        Either::Right(_) => {
            controller.abort();
            return Err(HttpError::Late);
        }
    };
    let header = |name: &str| response.headers().get(name).ok().flatten();
    let (status, content_type, disposition) =
        (response.status_code(), header("content-type"), header("content-disposition"));
    let length = header("content-length").and_then(|length| length.parse().ok());
    let stream = match response.into_parts().1 {
        ResponseBody::Stream(stream) => Some(stream.into()),
        ResponseBody::Empty | ResponseBody::Body(_) => None,
    };
    Ok(Reply { status, content_type, length, disposition, body: Passing { stream, controller: Some(controller) } })
}

async fn answer(request: &HttpRequest, bounds: &Bounds, signal: &AbortSignal) -> Result<HttpAnswer, HttpError> {
    let mut response = send(request, signal).await.map_err(unreachable)?;
    let headers = response.headers().entries().collect();
    let (body, is_cut) = read(&mut response, bounds).await?;
    Ok(HttpAnswer { url: request.url.clone(), status: response.status_code(), headers, body, is_cut })
}

async fn send(request: &HttpRequest, signal: &AbortSignal) -> worker::Result<Response> {
    let headers = Headers::new();
    for (name, value) in &request.headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    let method = match request.method {
        HttpMethod::Get => Method::Get,
        HttpMethod::Post => Method::Post,
        HttpMethod::Put => Method::Put,
    };
    init.with_method(method).with_headers(headers).with_redirect(RequestRedirect::Manual);
    if let Some(body) = &request.body {
        init.with_body(Some(js_sys::Uint8Array::from(body.as_slice()).into()));
    }
    Fetch::Request(Request::new_with_init(request.url.as_str(), &init)?).send_with_signal(signal).await
}

/// The body, or its beginning, and whether it is longer.
async fn read(response: &mut Response, bounds: &Bounds) -> Result<(Vec<u8>, bool), HttpError> {
    // An answer without a body has no stream.
    let Ok(mut chunks) = response.stream() else { return Ok((Vec::new(), false)) };
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        body.extend(chunk.map_err(unreachable)?);
        if body.len() > bounds.max_bytes {
            body.truncate(bounds.max_bytes);
            return if bounds.cut { Ok((body, true)) } else { Err(HttpError::TooLarge) };
        }
    }
    Ok((body, false))
}

#[expect(clippy::needless_pass_by_value, reason = "a function for `map_err`")]
fn unreachable(error: worker::Error) -> HttpError {
    HttpError::Unreachable(error.to_string())
}
