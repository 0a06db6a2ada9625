//! Sending mail through an HTTP interface, run in the proxy.

use tern_auth::mail::Letter;
use tern_model::{Mail, MatrixError};
use tern_ports::{
    Outbound,
    outbound::{Bounds, HttpRequest, fetch},
};
use url::Url;

/// A mail is a small request to a server that the operator chose.
const BOUNDS: Bounds = Bounds { timeout_ms: 15_000, max_bytes: 16 << 10, cut: true, redirects: 0, plain: false };

/// Sends a letter.
///
/// # Errors
/// 503 when it could not be handed over.
pub async fn send<E: Outbound>(edge: &E, mail: &Mail, letter: &Letter) -> Result<(), MatrixError> {
    let url = Url::parse(&mail.url).map_err(|_| MatrixError::internal())?;
    let mut request = HttpRequest::post(url, "application/json", letter.body(mail).to_string().into_bytes());
    for (name, value) in &mail.headers {
        request = request.with_header(name, value.replace("{secret}", &mail.secret));
    }
    match fetch(edge, request, BOUNDS).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        _ => Err(MatrixError::unavailable()),
    }
}
