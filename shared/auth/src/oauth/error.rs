//! Error answers of the OAuth endpoints (RFC 6749, 5.2; RFC 7591, 3.2.2; RFC 8628, 3.5).

use serde_json::{Map, Value, json};
use tern_model::MatrixError;

/// When to ask again while something is away, in seconds, if nothing says better.
const ASK_AGAIN_S: u64 = 5;

/// What an OAuth endpoint refuses with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// A parameter is missing, repeated or malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// There is no such client, or it did not prove to be it.
    #[error("Unknown client")]
    InvalidClient,
    /// The code, device code or refresh token is not good, or not this client's.
    #[error("The grant is invalid, expired or was used before")]
    InvalidGrant,
    /// The client may not do that.
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    /// Not a grant type of this server.
    #[error("This grant type is not supported")]
    UnsupportedGrantType,
    /// Not a response type of this server.
    #[error("This response type is not supported")]
    UnsupportedResponseType,
    /// The scope is not one that can be granted.
    #[error("{0}")]
    InvalidScope(&'static str),
    /// The user said no.
    #[error("The user said no")]
    AccessDenied,
    /// `prompt=none`, and nobody is signed in.
    #[error("The user has to sign in")]
    LoginRequired,
    /// `prompt=none`, and the user has not agreed yet.
    #[error("The user has to agree")]
    ConsentRequired,
    /// A redirect URI that cannot be registered.
    #[error("{0}")]
    InvalidRedirectUri(&'static str),
    /// Client metadata that cannot be registered.
    #[error("{0}")]
    InvalidClientMetadata(&'static str),
    /// The user has not decided yet.
    #[error("The user has not decided yet")]
    AuthorizationPending,
    /// As above, and the client asks too often.
    #[error("Ask less often")]
    SlowDown,
    /// The device code's time is over.
    #[error("The device code has expired")]
    ExpiredToken,
}

impl OAuthError {
    /// `error`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InvalidRedirectUri(_) => "invalid_redirect_uri",
            Self::InvalidClientMetadata(_) => "invalid_client_metadata",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
        }
    }
}

impl From<OAuthError> for MatrixError {
    fn from(error: OAuthError) -> Self {
        let text = error.to_string();
        let fields = [("error", error.code().to_owned()), ("error_description", text.clone())];
        let body: Map<String, Value> = fields.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let status = if error == OAuthError::InvalidClient { 401 } else { 400 };
        Self { body: Some(body), ..Self::new(status, "", text) }
    }
}

/// A refusal as it is written to an OAuth client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// HTTP status code.
    pub status: u16,
    /// The body: `error`, and `error_description` where it helps somebody.
    pub body: Value,
    /// `Retry-After`, in seconds, of what will pass.
    pub retry_after_s: Option<u64>,
}

/// Any error in the only shape that OAuth clients know (RFC 6749, 5.2; RFC 6750, 3.1). Some end their session at an error of
/// the Client-Server API, whatever its status, and at each 4xx: so whatever will pass is a 503 (RFC 6749, 4.1.2.1).
pub fn error_response(error: &MatrixError) -> ErrorResponse {
    if error.status >= 500 || error.status == 429 {
        let retry_after_s = error.retry_after_ms.map_or(ASK_AGAIN_S, |ms| ms.div_ceil(1_000));
        return ErrorResponse {
            status: 503,
            body: json!({ "error": "temporarily_unavailable" }),
            retry_after_s: Some(retry_after_s),
        };
    }
    let body = match &error.body {
        Some(body) if error.errcode.is_empty() => Value::Object(body.clone()),
        _ => json!({ "error": code(error.status), "error_description": error.message }),
    };
    ErrorResponse { status: error.status, body, retry_after_s: None }
}

/// The code that says most about a status.
const fn code(status: u16) -> &'static str {
    match status {
        401 => "invalid_token",
        403 => "insufficient_scope",
        _ => "invalid_request",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tern_model::MatrixError;

    use super::{ErrorResponse, OAuthError, error_response};

    #[test]
    fn every_error_has_the_shape_of_oauth_and_trouble_that_passes_is_told_as_such() {
        let away = |retry_after_s| (503, json!({ "error": "temporarily_unavailable" }), Some(retry_after_s));
        let text = |error: &str, description: &str| json!({ "error": error, "error_description": description });
        for (error, (status, body, retry_after_s)) in [
            (MatrixError::limit_exceeded(1_500), away(2)),
            (MatrixError::internal(), away(5)),
            (MatrixError::unavailable(), away(5)),
            (OAuthError::InvalidClient.into(), (401, text("invalid_client", "Unknown client"), None)),
            (MatrixError::wrong_method(), (405, text("invalid_request", "Method not allowed"), None)),
            (MatrixError::unknown_token(true), (401, text("invalid_token", "Unknown access token"), None)),
            (MatrixError::forbidden("No"), (403, text("insufficient_scope", "No"), None)),
        ] {
            assert_eq!(error_response(&error), ErrorResponse { status, body, retry_after_s }, "{error}");
        }
    }
}
