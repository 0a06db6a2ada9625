//! What keeps the pages safe (RFC 9700, sections 4.11 and 4.16).

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tern_model::Config;

use crate::secret::{base64, same};

/// How long somebody stays signed in on the pages, in milliseconds.
pub const LIFETIME: u64 = 12 * 60 * 60 * 1000;

/// Where the pages may send somebody next. Nothing outside of them, so nobody can be led astray.
const TARGETS: [&str; 5] = [
    "/account",
    "/oauth2/authorize?",
    "/device",
    "/_matrix/client/v3/auth/m.login.sso/fallback/web",
    "/_tern/dashboard",
];
/// Longest address that is carried along, in bytes.
const MAX_TARGET: usize = 8 << 10;

/// The token in the forms of a visitor with this cookie: a double submit that only the server can make, and that ends with
/// the cookie it belongs to.
pub fn form_token(config: &Config, cookie: &str) -> String {
    // A key of any length is good for HMAC.
    let mac = Hmac::<Sha256>::new_from_slice(&config.token_key)
        .map(|mac| mac.chain_update(b"tern form token 1\0").chain_update(cookie.as_bytes()).finalize().into_bytes());
    mac.map(|bytes| base64(bytes.get(..16).unwrap_or_default())).unwrap_or_default()
}

/// Whether a form came from a page that this visitor was shown.
pub fn is_own_form(config: &Config, cookie: &str, claimed: &str) -> bool {
    let expected = form_token(config, cookie);
    !expected.is_empty() && same(&expected, claimed)
}

/// The address to go on with, if it is one of our pages.
pub fn own_page(target: &str) -> Option<&str> {
    let plain = target.len() <= MAX_TARGET && target.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    let rest = TARGETS.iter().find_map(|page| target.strip_prefix(page).map(|rest| (page, rest)));
    let ours = rest.is_some_and(|(page, rest)| page.ends_with('?') || rest.is_empty() || rest.starts_with(['/', '?']));
    (plain && ours).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn only_own_pages_are_gone_to() {
        for good in
            ["/account", "/account/password", "/account?action=x", "/oauth2/authorize?a=b", "/device?user_code=X"]
        {
            assert_eq!(own_page(good), Some(good));
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "/accountant",
            "https://evil.example/account",
            "/\\evil.example",
            "/device\r\nx: y",
            "javascript:alert(1)",
            "/oauth2/authorized",
            "/account /",
            "account",
        ] {
            assert_eq!(own_page(bad), None, "{bad}");
        }
    }
}
