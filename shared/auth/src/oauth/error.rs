//! Error answers of the OAuth endpoints (RFC 6749, 5.2; RFC 7591, 3.2.2; RFC 8628, 3.5).

use serde_json::{Map, Value};
use tern_model::MatrixError;

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
