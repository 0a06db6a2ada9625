//! Addresses of the pages.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tern_auth::oauth::browser::own_page;

/// Where to go on, which is one of our pages whatever was asked for.
pub(super) fn target(asked: Option<&str>) -> &str {
    asked.and_then(own_page).unwrap_or("/account")
}

/// The sign-in page, with the name filled in, that leads on to `target`.
pub(super) fn sign_in_address(target: &str, name: &str) -> String {
    format!("/account/sign-in?continue={}&username={}", encoded(target), encoded(name))
}

/// A value as it stands in a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
