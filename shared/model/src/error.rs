//! The one error that a client or another server sees.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A Matrix error: HTTP status, `errcode`, a message fit for the person, and the extra fields some codes carry
/// (Client-Server API, "Standard error response").
///
/// Operations have error enums of their own; each maps to this type in one place. The message never carries internal
/// causes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{errcode}: {message}")]
pub struct MatrixError {
    /// HTTP status code.
    pub status: u16,
    /// `M_…` code. Empty, and then left out, in the first challenge of user-interactive authentication, which is no error.
    pub errcode: Cow<'static, str>,
    /// Text for the person or the developer at the other end.
    pub message: Cow<'static, str>,
    /// `retry_after_ms` of `M_LIMIT_EXCEEDED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// `soft_logout` of `M_UNKNOWN_TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_logout: Option<bool>,
    /// Further fields, merged into the error object (user-interactive authentication sends its flows this way).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Map<String, serde_json::Value>>,
}

impl MatrixError {
    /// An error of the given status and code.
    pub fn new(status: u16, errcode: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            errcode: Cow::Borrowed(errcode),
            message: message.into(),
            retry_after_ms: None,
            soft_logout: None,
            body: None,
        }
    }

    /// 403 `M_FORBIDDEN`.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(403, "M_FORBIDDEN", message)
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(404, "M_NOT_FOUND", message)
    }

    /// 404 `M_UNRECOGNIZED`: no such endpoint.
    pub fn unrecognized() -> Self {
        Self::new(404, "M_UNRECOGNIZED", "Unrecognized request")
    }

    /// 405 `M_UNRECOGNIZED`: the endpoint exists, the method does not.
    pub fn wrong_method() -> Self {
        Self::new(405, "M_UNRECOGNIZED", "Method not allowed")
    }

    /// 400 `M_NOT_JSON`.
    pub fn not_json() -> Self {
        Self::new(400, "M_NOT_JSON", "The body is not JSON")
    }

    /// 400 `M_BAD_JSON`.
    pub fn bad_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "M_BAD_JSON", message)
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "M_INVALID_PARAM", message)
    }

    /// 400 `M_MISSING_PARAM`.
    pub fn missing_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "M_MISSING_PARAM", message)
    }

    /// 401 `M_MISSING_TOKEN`.
    pub fn missing_token() -> Self {
        Self::new(401, "M_MISSING_TOKEN", "Missing access token")
    }

    /// 401 `M_UNKNOWN_TOKEN`; `soft_logout` when the client may refresh or sign in again and keep its data.
    pub fn unknown_token(soft_logout: bool) -> Self {
        Self { soft_logout: Some(soft_logout), ..Self::new(401, "M_UNKNOWN_TOKEN", "Unknown access token") }
    }

    /// 403 `M_USER_SUSPENDED`.
    pub fn user_suspended() -> Self {
        Self::new(403, "M_USER_SUSPENDED", "You cannot perform this action while suspended")
    }

    /// 413 `M_TOO_LARGE`.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(413, "M_TOO_LARGE", message)
    }

    /// 400 `M_UNKNOWN_POS`: the sliding sync connection is gone, start over (MSC4186).
    pub fn unknown_pos() -> Self {
        Self::new(400, "M_UNKNOWN_POS", "Unknown position")
    }

    /// 429 `M_LIMIT_EXCEEDED`.
    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(429, "M_LIMIT_EXCEEDED", "Too many requests") }
    }

    /// 500 `M_UNKNOWN`: ours. The cause is logged where it happened, never sent.
    pub fn internal() -> Self {
        Self::new(500, "M_UNKNOWN", "Internal error")
    }

    /// 503 `M_UNKNOWN`: a part of the server cannot be reached just now; the request may be repeated.
    pub fn unavailable() -> Self {
        Self::new(503, "M_UNKNOWN", "Temporarily unavailable")
    }

    /// 507 `M_RESOURCE_LIMIT_EXCEEDED`: a database has no room left. What was acknowledged stands; the request may be repeated
    /// once the operator has made room.
    pub fn storage_full() -> Self {
        Self::new(507, "M_RESOURCE_LIMIT_EXCEEDED", "The server has no storage left for this")
    }

    /// The JSON object of the response body.
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = self.body.clone().unwrap_or_default();
        if !self.errcode.is_empty() {
            object.insert("errcode".to_owned(), self.errcode.as_ref().into());
            object.insert("error".to_owned(), self.message.as_ref().into());
        }
        if let Some(ms) = self.retry_after_ms {
            object.insert("retry_after_ms".to_owned(), ms.into());
        }
        if let Some(soft) = self.soft_logout {
            object.insert("soft_logout".to_owned(), soft.into());
        }
        serde_json::Value::Object(object)
    }
}
