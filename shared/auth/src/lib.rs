//! Who somebody is, and how they prove it.
//!
//! - [`token`]: access tokens, signed and verified without asking anybody; [`cache`] remembers verified ones and when
//!   the user's hub last confirmed their session.
//! - [`refresh`]: the form of refresh tokens, which only the user's hub can tell true from false.
//! - [`openid`]: proof for others of who a user is.
//! - [`password`]: password hashes.
//! - [`limit`]: how often somebody may try, and do anything else.
//! - [`username`]: which names may be registered and which may be signed in with.
//! - [`login`], [`login_token`], [`uia`]: the legacy login types and user-interactive authentication (Client-Server API,
//!   "Legacy API").
//! - [`appservice`]: whose token a token is, and which names belong to whom.
//! - [`mail`]: proof that a mail address is somebody's.
//! - [`sso`], [`upstream`]: signing an app in by the browser, and somebody with an account of another provider.
//! - [`turn_server`]: what opens the relays of calls.
//! - [`oauth`]: the OAuth 2.0 provider's rules.
//!
//! Time and random bytes are parameters.

pub mod appservice;
pub mod cache;
mod hs256;
pub mod limit;
pub mod login;
pub mod login_token;
pub mod mail;
pub mod oauth;
pub mod openid;
pub mod password;
pub mod refresh;
pub mod secret;
pub mod sso;
pub mod token;
pub mod turn_server;
pub mod uia;
pub mod upstream;
pub mod username;

pub use cache::{Check, TokenCache};
pub use token::{Minted, TokenError, Verified};
