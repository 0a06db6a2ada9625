//! Where clients may be answered, and what their home pages vouch for (Client-Server API, "Redirect URI validation").

use url::{Host, Url};

use super::OAuthError;

/// Longest URI, in bytes.
const MAX_URI: usize = 2_048;
/// Hosts of the loopback interface, as they stand in a URI.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// An https URL with a host and without credentials.
pub(super) fn https(text: &str) -> Option<Url> {
    let plain = text.len() <= MAX_URI
        && text.bytes().all(|byte| (0x21..0x7f).contains(&byte) && !b"\"<>\\^`{|}".contains(&byte));
    let url = plain.then(|| Url::parse(text).ok()).flatten()?;
    let fine = text.starts_with("https://") && url.username().is_empty() && url.password().is_none();
    // What a URL allows in a host is more than there are names for, and means other things elsewhere.
    let named = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (fine && matches!(url.host(), Some(Host::Domain(host)) if named(host))).then_some(url)
}

/// The host is that of the client's home page, or below it where all that is below belongs to the same people.
pub(super) fn is_within(url: &Url, home: &str) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == home || !is_shared(home) && host.strip_suffix(home).is_some_and(|rest| rest.ends_with('.'))
}

/// Names below which anybody gets names, apart from those of countries' registries.
const SHARED: [&str; 24] = [
    "amazonaws.com",
    "azurewebsites.net",
    "blogspot.com",
    "cloudfront.net",
    "codeberg.page",
    "deno.dev",
    "firebaseapp.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "glitch.me",
    "herokuapp.com",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.app",
    "ngrok.io",
    "onrender.com",
    "pages.dev",
    "replit.app",
    "surge.sh",
    "trycloudflare.com",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// Anybody may have names below this one, so that it vouches for nobody but itself. The Public Suffix List would be larger than
/// all other rules here, so this errs on the safe side: a short name below a country's (`co.uk`, but also `t.me`) counts as
/// shared, and a client at such a name has its redirect URIs at exactly that host, as Element and Cinny have anyway.
fn is_shared(home: &str) -> bool {
    match home.split('.').collect::<Vec<_>>().as_slice() {
        [_] => true,
        [name, country] if country.len() == 2 && name.len() <= 3 => true,
        _ => SHARED.contains(&home),
    }
}

/// "Redirect URI validation".
pub(super) fn check_redirect(uri: &str, home: &str, is_native: bool) -> Result<(), OAuthError> {
    let plain =
        uri.len() <= MAX_URI && uri.bytes().all(|byte| (0x21..0x7f).contains(&byte) && !b"\"<>\\^`{|}".contains(&byte));
    if !plain || uri.contains('#') {
        return Err(OAuthError::InvalidRedirectUri("A redirect URI is malformed or has a fragment"));
    }
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    match scheme {
        "https" => match https(uri) {
            Some(url) if is_within(&url, home) => Ok(()),
            _ => Err(OAuthError::InvalidRedirectUri("A redirect URI is not below client_uri")),
        },
        "http" if is_native => {
            let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
            if LOOPBACK.contains(&authority) {
                return Ok(());
            }
            Err(OAuthError::InvalidRedirectUri("http is for the loopback interface, without a port"))
        }
        scheme if is_native && !rest.starts_with("//") && is_reversed(scheme, home) => Ok(()),
        _ => Err(OAuthError::InvalidRedirectUri("The scheme of a redirect URI is not one this client may use")),
    }
}

/// The scheme begins with the host in reverse-DNS notation.
fn is_reversed(scheme: &str, home: &str) -> bool {
    let reversed = home.split('.').rev().collect::<Vec<_>>().join(".");
    let rest = scheme.strip_prefix(reversed.as_str()).filter(|rest| rest.is_empty() || !is_shared(home));
    let letters = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    letters && home.contains('.') && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Both are the same place on the loopback interface, whatever the port of the second.
pub(super) fn is_other_port(known: &str, uri: &str) -> bool {
    LOOPBACK.iter().any(|host| {
        let prefix = format!("http://{host}");
        let (Some(known), Some(rest)) = (known.strip_prefix(&prefix), uri.strip_prefix(&prefix)) else { return false };
        let Some(after) = rest.strip_prefix(':') else { return false };
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let port = after.get(..digits).and_then(|port| port.parse::<u16>().ok());
        port.is_some_and(|port| port > 0) && after.get(digits..) == Some(known)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::oauth::client::Client;

    fn registers(home: &str, redirect: &str, application_type: &str) -> bool {
        let metadata = json!({ "client_uri": home, "redirect_uris": [redirect], "application_type": application_type });
        Client::register(metadata.as_object().unwrap_or(&serde_json::Map::new())).is_ok()
    }

    #[test]
    fn a_home_page_vouches_for_its_own_host_and_for_those_below_that_are_its_own() {
        for (home, redirect, allowed) in [
            ("https://app.element.io/", "https://app.element.io/?no_universal_links=true", true),
            ("https://element.io/", "https://mobile.element.io/cb", true),
            ("https://example.org/", "https://example.org/cb", true),
            ("https://localhost/", "https://localhost/cb", true),
            ("https://t.me/", "https://t.me/cb", true),
            ("https://com/", "https://evil.com/", false),
            ("https://co.uk/", "https://evil.co.uk/", false),
            ("https://com.au/", "https://evil.com.au/", false),
            ("https://github.io/", "https://evil.github.io/", false),
            ("https://me.github.io/", "https://me.github.io/cb", true),
            ("https://example.org/", "https://evilexample.org/", false),
        ] {
            assert_eq!(registers(home, redirect, "web"), allowed, "{home} {redirect}");
        }
        assert!(registers("https://example.org/", "org.example.app:/cb", "native"));
        assert!(!registers("https://co.uk/", "uk.co.evil:/cb", "native"));
    }

    #[test]
    fn a_host_is_a_name() {
        for host in
            ["x;script-src.example.org", "*.example.org", "a,b.example.org", "a'b.example.org", "a&b.example.org"]
        {
            assert!(!registers("https://example.org/", &format!("https://{host}/"), "web"), "{host}");
        }
    }
}
