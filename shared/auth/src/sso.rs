//! Single sign-on for clients of the legacy API (Client-Server API, "SSO client login/authentication"): where a login token
//! may be sent.

use tern_model::MatrixError;
use url::{Host, Url};

/// The login type.
pub const SSO: &str = "m.login.sso";
/// Longest address, in bytes.
const MAX_LENGTH: usize = 2_048;
/// What a browser would run or open on this machine.
const DANGEROUS: [&str; 13] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "javascript",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// An address that a login token may be sent to: a site over https, a program on the same machine, or an app.
///
/// # Errors
/// `M_INVALID_PARAM` for any other.
pub fn redirect_url(text: &str) -> Result<Url, MatrixError> {
    let invalid = || MatrixError::invalid_param("A login token cannot be sent to this redirectUrl");
    let plain = text.len() <= MAX_LENGTH && text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    let url = Url::parse(text).ok().filter(|_| plain).ok_or_else(invalid)?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    // The host goes into the content security policy, where a semicolon ends a directive.
    let plain = url
        .host_str()
        .is_none_or(|host| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)));
    let anonymous = url.username().is_empty() && url.password().is_none();
    let good = match url.scheme() {
        "https" => anonymous,
        "http" => anonymous && here,
        scheme => !DANGEROUS.contains(&scheme),
    };
    if good && plain { Ok(url) } else { Err(invalid()) }
}

/// The address with the login token in its query.
pub fn with_token(url: &Url, token: &str) -> String {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "loginToken")
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("loginToken", token);
    url.into()
}

/// Whether the operator has named this address as one of an app that needs no confirmation: the same origin, or the same
/// scheme of an app.
pub fn is_known(url: &Url, known: &[String]) -> bool {
    known
        .iter()
        .filter_map(|text| Url::parse(text).ok())
        .any(|known| known.scheme() == url.scheme() && known.host() == url.host() && known.port() == url.port())
}

/// What people are shown of an address.
pub fn shown(url: &Url) -> String {
    url.host_str().map_or_else(
        || format!("{}:", url.scheme()),
        |host| match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{is_known, redirect_url, shown, with_token};

    #[test]
    fn a_token_goes_to_sites_programs_and_apps() {
        for (text, to) in [
            ("https://app.example.org/x?a=b&loginToken=old#f", "https://app.example.org/x?a=b&loginToken=t#f"),
            ("http://localhost:8000/", "http://localhost:8000/?loginToken=t"),
            ("http://127.0.0.1:9/cb", "http://127.0.0.1:9/cb?loginToken=t"),
            ("http://[::1]:9/cb", "http://[::1]:9/cb?loginToken=t"),
            ("element://connect", "element://connect?loginToken=t"),
            ("io.example.app:/cb", "io.example.app:/cb?loginToken=t"),
        ] {
            assert_eq!(redirect_url(text).map(|url| with_token(&url, "t")).ok().as_deref(), Some(to));
        }
    }

    #[test]
    fn and_nowhere_else() {
        for bad in [
            "",
            "/x",
            "//evil.example",
            "http://example.org/",
            "http://localhost.evil.example/",
            "https://user@example.org/",
            "https://a.example;sandbox/",
            "app://a.example;sandbox/",
            "ftp://example.org/",
            "javascript:alert(1)",
            "JaVaScRiPt://x/%0aalert(1)",
            "java\nscript:alert(1)",
            " javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://example.org/\r\nset-cookie: x",
        ] {
            assert!(redirect_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_known_app_is_known_by_its_origin() {
        let known = ["https://app.example.org/".to_owned(), "io.example.app:/".to_owned()];
        let is = |text: &str| redirect_url(text).is_ok_and(|url| is_known(&url, &known));
        assert!(is("https://app.example.org/any?x") && is("io.example.app:/cb"));
        assert!(!is("https://app.example.org:444/") && !is("https://app.example.org.evil.example/"));
        assert!(!is("https://evil.example/https://app.example.org/") && !is("io.example.other:/cb"));
        assert_eq!(
            redirect_url("https://a.example:444/x").map(|url| shown(&url)).ok().as_deref(),
            Some("a.example:444")
        );
        assert_eq!(redirect_url("io.example.app:/cb").map(|url| shown(&url)).ok().as_deref(), Some("io.example.app:"));
    }
}
