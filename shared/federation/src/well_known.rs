//! `/.well-known/matrix/server` of others (Server-Server API, "Server Discovery").

use serde::Deserialize;

use crate::server_name::ServerName;

/// Longest answer that is read, in bytes.
pub const LONGEST: usize = 50 << 10;
/// How long an answer that does not say so is relied on, in seconds.
const DEFAULT: u64 = 24 * 3_600;
/// No answer is relied on for less, or for more, whatever it says, in seconds.
const SHORTEST: u64 = 5 * 60;
const MOST: u64 = 48 * 3_600;
/// After this time a server that had no answer is asked again, in seconds.
pub const AFTER_FAILURE: u64 = 3_600;

/// Where a server says that it is; `None` for an answer that says nothing.
pub fn read(status: u16, body: &[u8]) -> Option<ServerName> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "m.server")]
        server: String,
    }
    if status != 200 || body.len() > LONGEST {
        return None;
    }
    let Answer { server } = serde_json::from_slice(body).ok()?;
    ServerName::parse(&server)
}

/// How long an answer with this `Cache-Control` is relied on, in seconds.
pub fn lifetime(cache_control: Option<&str>) -> u64 {
    let directives = || cache_control.into_iter().flat_map(|header| header.split(',')).map(str::trim);
    let forbids = |directive: &str| ["no-store", "no-cache"].iter().any(|one| directive.eq_ignore_ascii_case(one));
    if directives().any(forbids) {
        return SHORTEST;
    }
    let age = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let value = value.trim().trim_matches('"');
        // A number too long for us is a long time.
        let all_digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        (name.trim().eq_ignore_ascii_case("max-age") && all_digits).then(|| value.parse().unwrap_or(u64::MAX))
    });
    age.unwrap_or(DEFAULT).clamp(SHORTEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::{lifetime, read};

    #[test]
    fn answers() {
        let found = |status, body: &str| read(status, body.as_bytes()).map(|server| server.to_string());
        assert_eq!(found(200, r#"{"m.server":"Matrix.a.org:443","x":1}"#).as_deref(), Some("matrix.a.org:443"));
        assert_eq!(found(200, r#"{"m.server":"[::1]"}"#).as_deref(), Some("[::1]"));
        for (status, body) in [
            (404, r#"{"m.server":"a.org"}"#),
            (301, r#"{"m.server":"a.org"}"#),
            (200, r#"{"m.server":"https://a.org"}"#),
            (200, r#"{"m.server":["a.org"]}"#),
            (200, r#"{"server":"a.org"}"#),
            (200, "<html>"),
            (200, ""),
        ] {
            assert_eq!(found(status, body), None, "{status} {body}");
        }
        assert_eq!(found(200, &format!(r#"{{"m.server":"a.org","x":"{}"}}"#, "x".repeat(60_000))), None);
    }

    #[test]
    fn lifetimes_are_clamped() {
        for (header, seconds) in [
            (None, 86_400),
            (Some(""), 86_400),
            (Some("public"), 86_400),
            (Some("max-age=nonsense"), 86_400),
            (Some("max-age=-1"), 86_400),
            (Some("max-age=3"), 300),
            (Some("public, Max-Age=\"600\""), 600),
            (Some("max-age=99999999999999999999999"), 172_800),
            (Some("max-age=600, no-store"), 300),
        ] {
            assert_eq!(lifetime(header), seconds, "{header:?}");
        }
    }
}
