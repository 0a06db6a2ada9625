//! Names of servers (Appendices, "Server Name").

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Longest host, in bytes.
const LONGEST_HOST: usize = 255;

/// The host of a server name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 literal.
    V4(Ipv4Addr),
    /// An IPv6 literal, in brackets.
    V6(Ipv6Addr),
    /// A DNS name, in small letters.
    Dns(String),
}

/// A server name. DNS knows no capitals, so a name has small letters here, however it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName {
    /// The host.
    pub host: Host,
    /// The port, if the name has one.
    pub port: Option<u16>,
}

impl ServerName {
    /// Reads a name; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = if let Some(literal) = text.strip_prefix('[') {
            let (address, rest) = literal.split_once(']')?;
            (Host::V6(address.parse().ok()?), rest)
        } else {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (dns_or_v4(host)?, rest)
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { host, port })
    }

    /// Whether the host is an address, which needs no looking up.
    pub const fn is_literal(&self) -> bool {
        !matches!(self.host, Host::Dns(_))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(to),
            Self::V6(address) => write!(to, "[{address}]"),
            Self::Dns(name) => to.write_str(name),
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(to, "{}:{port}", self.host),
            None => self.host.fmt(to),
        }
    }
}

fn dns_or_v4(host: &str) -> Option<Host> {
    if let Ok(address) = host.parse() {
        return Some(Host::V4(address));
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let is_name = (1..=LONGEST_HOST).contains(&host.len()) && host.bytes().all(known);
    is_name.then(|| Host::Dns(host.to_ascii_lowercase()))
}

/// One to five digits; nothing listens at port 0.
fn port(digits: &str) -> Option<u16> {
    let all = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| all && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::{Host, ServerName};

    #[test]
    fn names_are_read_and_written() {
        for (text, written, port, literal) in [
            ("matrix.org", "matrix.org", None, false),
            ("Matrix.ORG:8448", "matrix.org:8448", Some(8448), false),
            ("a-b.c:1", "a-b.c:1", Some(1), false),
            ("1.2.3.4", "1.2.3.4", None, true),
            ("1.2.3.4:00080", "1.2.3.4:80", Some(80), true),
            ("[1234:5678::ABCD]", "[1234:5678::abcd]", None, true),
            ("[::1]:5678", "[::1]:5678", Some(5678), true),
            // Names by their grammar, whatever a browser takes them for.
            ("127.1", "127.1", None, false),
            ("1.2.3.04", "1.2.3.04", None, false),
        ] {
            let name = ServerName::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((name.to_string().as_str(), name.port, name.is_literal()), (written, port, literal), "{text}");
            assert_eq!(ServerName::parse(written), Some(name), "{text}");
        }
        assert!(ServerName::parse("::1").is_none());
        assert_eq!(ServerName::parse("1.2.3.4").map(|name| name.host), Some(Host::V4([1, 2, 3, 4].into())));
    }

    #[test]
    fn what_is_no_name_is_none() {
        let long = "a".repeat(256);
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:+80",
            "a:080808",
            "a:8 ",
            "a b",
            "a/b",
            "a@b",
            "a_b",
            "ä.org",
            "[::1",
            "[::1]80",
            "[::g]",
            "[1.2.3.4]",
            "a:1:2",
            "https://a",
            "a\n",
            "a%20",
            long.as_str(),
        ] {
            assert_eq!(ServerName::parse(text), None, "{text}");
        }
        assert!(ServerName::parse(&long[1..]).is_some());
    }
}
