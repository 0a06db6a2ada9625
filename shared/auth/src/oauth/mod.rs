//! The OAuth 2.0 provider's rules (Client-Server API, "OAuth 2.0 API", and the RFCs it stands on; `OAUTH.md` maps them to
//! tests).
//!
//! - [`metadata`]: what the provider says of itself.
//! - [`client`]: who may be a client, and where it may be answered.
//! - [`request`], [`scope`], [`code`]: what a client asks for, and the proof that comes with an authorization code.
//! - [`silent`]: who may be answered without a click.
//! - [`ticket`]: secrets that name the user whose hub can judge them: authorization codes, cookies of the pages.
//! - [`browser`]: what keeps the pages safe: the token in their forms, where they may send somebody next.
//! - [`keyring`], [`id_token`]: the keys whose public halves are published, and what they sign.
//! - [`management`]: what the account page is opened for.
//! - [`error`]: how the endpoints say no.

pub mod browser;
pub mod client;
pub mod code;
pub mod error;
pub mod id_token;
pub mod keyring;
pub mod management;
pub mod metadata;
mod redirect;
pub mod request;
pub mod scope;
pub mod silent;
pub mod ticket;

pub use error::OAuthError;
