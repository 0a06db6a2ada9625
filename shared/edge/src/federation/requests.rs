//! Requests of this server to another one, for somebody who waits for the answer, and what its refusals mean here.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, de::DeserializeOwned};
use tern_federation::server_name::ServerName as Parsed;
use tern_model::{Bounded, BoundedJson, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_destination,
    outbound::HttpMethod,
    wire::destination::{RemoteAnswer, SendRequest},
};

/// Until the last byte of a usual answer, in milliseconds, and its most bytes.
pub(super) const SOON: (u64, usize) = (10_000, 256 * 1024);
/// The same for one that takes the other server some work.
pub(super) const LATE_MS: u64 = 60_000;

/// How long a lookup for a client may take, in milliseconds.
const LOOKUP_MS: u64 = 15_000;

/// What stands in a path or query as it is (RFC 3986, 2.3).
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Most characters of what another server says is wrong.
const MOST_SAID: usize = 200;

/// Text as a segment of a path or a value of a query.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

/// Asks another server; with a body by `PUT`. The answer is that of a success.
///
/// # Errors
/// [`refused`]; 502 `M_UNREACHABLE`, 504 `M_UNREACHABLE`; 502 `M_TOO_LARGE` for a longer answer; 502 `M_UNKNOWN` for one of
/// another shape.
pub(super) async fn ask<E: Transport, T: DeserializeOwned>(
    edge: &E,
    server: &ServerName,
    (target, body): (String, Option<RawJson>),
    bounds: (u64, usize),
) -> Result<T, MatrixError> {
    let answer = exchange(edge, server, (target, body.map(|body| (HttpMethod::Put, body))), bounds).await?;
    match &answer.body {
        Some(body) if (200..300).contains(&answer.status) => body.read().map_err(|_| unusable("its answer is none")),
        _ => Err(refused(&answer)),
    }
}

/// Looks something up with a `GET`, or with the method and body that are given. `max_bytes` is what the answer may take.
///
/// # Errors
/// 404 `M_NOT_FOUND` and 403 `M_FORBIDDEN` as the other server says; 502 `M_UNKNOWN` for any other answer than 200 with JSON;
/// those of [`SendRequest`].
pub async fn look_up<E: Transport>(
    edge: &E,
    server: &ServerName,
    target: String,
    body: Option<(HttpMethod, RawJson)>,
    max_bytes: usize,
) -> Result<RawJson, MatrixError> {
    let answer = exchange(edge, &object_of(server)?, (target, body), (LOOKUP_MS, max_bytes)).await?;
    match (answer.status, answer.body) {
        (200, Some(body)) => Ok(body),
        (404, _) => Err(MatrixError::not_found("The other server knows nothing of it")),
        (403, _) => Err(MatrixError::forbidden("The other server refuses to tell")),
        _ => Err(MatrixError::new(502, "M_UNKNOWN", "The other server did not answer as it should")),
    }
}

async fn exchange<E: Transport>(
    edge: &E,
    server: &ServerName,
    (target, body): (String, Option<(HttpMethod, RawJson)>),
    (timeout_ms, max_bytes): (u64, usize),
) -> Result<RemoteAnswer, MatrixError> {
    let (method, body) = body.map_or((HttpMethod::Get, None), |(method, body)| (method, Some(body)));
    let (target, body) = (Bounded::new(target)?, body.map(BoundedJson::new).transpose()?);
    ask_destination(edge, server, SendRequest { method, target, body, timeout_ms, max_bytes, background: false }).await
}

/// The name of a server's object.
///
/// # Errors
/// 400 `M_INVALID_PARAM` for what is no name of a server.
pub(crate) fn object_of(server: &ServerName) -> Result<OwnedServerName, MatrixError> {
    in_small_letters(server.as_str()).ok_or_else(|| MatrixError::invalid_param("Not the name of a server"))
}

/// The name of a server as its object has it; nothing for what is no name of a server.
pub(super) fn in_small_letters(server: &str) -> Option<OwnedServerName> {
    OwnedServerName::try_from(Parsed::parse(server)?.to_string()).ok()
}

/// 502 `M_UNKNOWN`: what the other server says makes no sense.
pub(super) fn unusable(reason: &str) -> MatrixError {
    MatrixError::new(502, "M_UNKNOWN", format!("The other server cannot be understood: {reason}"))
}

/// What the other server refuses is refused, with its own word where that tells a client something; what else it says is its
/// own fault, 502.
fn refused(answer: &RemoteAnswer) -> MatrixError {
    #[derive(Default, Deserialize)]
    struct Refusal {
        #[serde(default)]
        errcode: String,
        #[serde(default)]
        error: String,
    }
    let refusal = answer.body.as_ref().and_then(|body| body.read::<Refusal>().ok()).unwrap_or_default();
    let said: String = refusal.error.chars().take(MOST_SAID).collect();
    let said = format!("The other server says: {said}");
    let known =
        ["M_UNABLE_TO_AUTHORISE_JOIN", "M_UNABLE_TO_GRANT_JOIN", "M_INVITE_BLOCKED", "M_UNSUPPORTED_ROOM_VERSION"];
    match (answer.status, known.into_iter().find(|known| *known == refusal.errcode)) {
        (400..500, Some(errcode)) => MatrixError::new(answer.status, errcode, said),
        (403, None) => MatrixError::forbidden(said),
        (404, None) => MatrixError::not_found(said),
        (400, None) if refusal.errcode == "M_INCOMPATIBLE_ROOM_VERSION" => {
            MatrixError::new(400, "M_UNSUPPORTED_ROOM_VERSION", said)
        }
        (status, _) => MatrixError::new(502, "M_UNKNOWN", format!("{said} ({status})")),
    }
}
