//! Requests of this server to another one, and what its refusals mean here.

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

/// Most characters of what another server says is wrong.
const MOST_SAID: usize = 200;

/// Asks another server; with a body by `PUT`. The answer is that of a success.
///
/// # Errors
/// [`refused`]; 502 `M_UNREACHABLE`, 504 `M_UNREACHABLE`; 502 `M_TOO_LARGE` for a longer answer; 502 `M_UNKNOWN` for one of
/// another shape.
pub(super) async fn ask<E: Transport, T: DeserializeOwned>(
    edge: &E,
    server: &ServerName,
    (target, body): (String, Option<RawJson>),
    (timeout_ms, max_bytes): (u64, usize),
) -> Result<T, MatrixError> {
    let request = SendRequest {
        method: if body.is_some() { HttpMethod::Put } else { HttpMethod::Get },
        target: Bounded::new(target)?,
        body: body.map(BoundedJson::new).transpose()?,
        timeout_ms,
        max_bytes,
        background: false,
    };
    let answer = ask_destination(edge, server, request).await?;
    match &answer.body {
        Some(body) if (200..300).contains(&answer.status) => body.read().map_err(|_| unusable("its answer is none")),
        _ => Err(refused(&answer)),
    }
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
