//! What a user's hub can be asked by the pages and the OAuth endpoints. What must work once is decided there.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::Millis;

use super::user::{Device, Session};

/// Somebody has signed in on the pages; answers with their cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBrowser {
    /// Who.
    pub user_id: OwnedUserId,
    /// Where from.
    pub ip: Option<String>,
    /// The browser, as it names itself.
    pub agent: Option<String>,
}

/// Asks who a browser belongs to. Fails with `M_UNKNOWN_TOKEN` when it is not, or no longer, signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBrowser {
    /// The cookie.
    pub cookie: String,
}

/// The answer to [`ReadBrowser`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserView {
    /// When the password was given.
    pub since: Millis,
    /// The user's display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The user's sessions.
    pub sessions: Vec<SignedInDevice>,
    /// The clients that were let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<LetIn>,
    /// The user may only read for the time being.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// A client that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetIn {
    /// Which.
    pub client_id: String,
    /// What was granted to it.
    pub scope: String,
}

/// A device, and the client that was let in as it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedInDevice {
    /// The device.
    pub device: Device,
    /// `client_name`, of one that came by OAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
}

/// Signs a browser out. Done also when it is not signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseBrowser {
    /// The cookie.
    pub cookie: String,
}

/// The user has said yes to a client: answers with an authorization code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueGrant {
    /// Who says so.
    pub cookie: String,
    /// What was granted.
    pub grant: Grant,
}

/// What the user has granted to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// To whom.
    pub client_id: String,
    /// How the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where the code was sent; `None` for a device grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// The scope, as granted.
    pub scope: String,
    /// The device in the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<OwnedDeviceId>,
    /// `code_challenge`, of method S256; `None` for a device grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// `nonce`, for the id token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// Exchanges an authorization code. Works once: a second time ends what came of the first (RFC 9700, 2.1.1). Fails with
/// 400 `invalid_grant`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedeemGrant {
    /// The whole code.
    pub code: String,
    /// Who asks.
    pub client_id: String,
    /// `redirect_uri`, as repeated by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// `code_verifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// Where from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// Exchanges a refresh token of an OAuth session. Fails with 400 `invalid_grant`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshGrant {
    /// The whole refresh token.
    pub refresh_token: String,
    /// Who asks.
    pub client_id: String,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Device, session and refresh token.
    pub session: Session,
    /// The client.
    pub client_id: String,
    /// The scope.
    pub scope: String,
    /// When this was issued: a repeated refresh gets the time of the first, and with it the same tokens.
    pub issued: Millis,
    /// `nonce`, for the id token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// When the user gave the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<Millis>,
}

/// Ends the session of a refresh token (RFC 7009). Done also when there is none. Answers with the device that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeGrant {
    /// The whole refresh token.
    pub refresh_token: String,
}

/// What is known of a refresh token, or of the session in an access token (RFC 7662).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectGrant {
    /// The token, hashed or named.
    pub of: Inspected,
}

/// What is inspected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inspected {
    /// A whole refresh token.
    Refresh(String),
    /// The session of an access token.
    Session(super::user::SessionRef),
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The client, if it came by OAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The scope, if it came by OAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The user allows that the cross-signing identity is replaced without further proof (MSC4312): once, within a few minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowReset {
    /// Who says so.
    pub cookie: String,
    /// By which device; by any that signed in by OAuth when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<OwnedDeviceId>,
}
