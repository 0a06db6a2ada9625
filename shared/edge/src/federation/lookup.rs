//! One question to another server, for somebody who waits for the answer.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::{OwnedServerName, ServerName};
use tern_federation::server_name::ServerName as Parsed;
use tern_model::{Bounded, BoundedJson, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_destination,
    outbound::HttpMethod,
    wire::destination::{RemoteAnswer, SendRequest},
};

/// How long another server may take, in milliseconds.
const TIMEOUT_MS: u64 = 15_000;

/// What stands in a path or query as it is (RFC 3986, 2.3).
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as a segment of a path or a value of a query.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

/// Asks with a `GET`, or with the method and body that are given. `max_bytes` is what the answer may take.
///
/// # Errors
/// 404 `M_NOT_FOUND` and 403 `M_FORBIDDEN` as the other server says; 502 `M_UNKNOWN` for any other answer than 200 with JSON;
/// those of [`SendRequest`].
pub async fn ask<E: Transport>(
    edge: &E,
    server: &ServerName,
    target: String,
    body: Option<(HttpMethod, RawJson)>,
    max_bytes: usize,
) -> Result<RawJson, MatrixError> {
    let (method, body) = body.map_or((HttpMethod::Get, None), |(method, body)| (method, Some(body)));
    let request = SendRequest {
        method,
        target: Bounded::new(target)?,
        body: body.map(BoundedJson::new).transpose()?,
        timeout_ms: TIMEOUT_MS,
        max_bytes,
        background: false,
    };
    accepted(ask_destination(edge, &object_of(server)?, request).await?)
}

/// The name of a server's object.
///
/// # Errors
/// 400 `M_INVALID_PARAM` for what is no name of a server.
pub(crate) fn object_of(server: &ServerName) -> Result<OwnedServerName, MatrixError> {
    let name = Parsed::parse(server.as_str()).and_then(|name| OwnedServerName::try_from(name.to_string()).ok());
    name.ok_or_else(|| MatrixError::invalid_param("Not the name of a server"))
}

fn accepted(answer: RemoteAnswer) -> Result<RawJson, MatrixError> {
    match (answer.status, answer.body) {
        (200, Some(body)) => Ok(body),
        (404, _) => Err(MatrixError::not_found("The other server knows nothing of it")),
        (403, _) => Err(MatrixError::forbidden("The other server refuses to tell")),
        _ => Err(MatrixError::new(502, "M_UNKNOWN", "The other server did not answer as it should")),
    }
}
