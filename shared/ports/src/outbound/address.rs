//! Which addresses are asked: those of the public Internet, so that nobody reaches through this server what only it can
//! reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Which addresses may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public Internet.
    #[default]
    Public,
    /// Any, over HTTP as well: for tests on one machine.
    Anywhere,
}

/// Networks that are not the public Internet, or lead back out of it (IANA Special-Purpose Address Registry).
const PRIVATE_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// The networks of global unicast addresses that are something else: protocol assignments with Teredo, documentation,
/// 6to4, documentation again. All that is not global unicast is refused anyway.
const SPECIAL_V6: [(u128, u32); 4] =
    [(0x2001_0000 << 96, 23), (0x2001_0db8 << 96, 32), (0x2002_0000 << 96, 16), (0x3fff_0000 << 96, 20)];
const GLOBAL_V6: (u128, u32) = (0x2000_0000 << 96, 3);

/// Names that mean something else on every network (RFC 6761, 6762, 7686, 8375 and `.internal`).
const PRIVATE_NAMES: [&str; 8] = ["localhost", "local", "internal", "home.arpa", "lan", "onion", "test", "invalid"];

/// Whether this address may be asked.
///
/// # Errors
/// Why not.
pub fn check(url: &Url, reach: Reach, plain: bool) -> Result<(), &'static str> {
    let host = url.host().ok_or("The address has no host")?;
    match url.scheme() {
        "https" => {}
        "http" if plain || reach == Reach::Anywhere => {}
        _ => return Err("The address does not begin with https:"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("The address contains a user name or a password");
    }
    if reach == Reach::Anywhere {
        return Ok(());
    }
    // Below that, what answers is seldom a web server and may take a request for something else.
    if url.port_or_known_default().is_none_or(|port| port < 1_024 && !matches!(port, 80 | 443)) {
        return Err("The port of the address is not one of web servers");
    }
    let public = match host {
        Host::Domain(name) => is_public_name(name),
        Host::Ipv4(address) => is_public(IpAddr::V4(address)),
        Host::Ipv6(address) => is_public(IpAddr::V6(address)),
    };
    if public { Ok(()) } else { Err("The address is not one of the public Internet") }
}

/// Whether an address is one of the public Internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !PRIVATE_V4.iter().any(|(network, bits)| within_v4(address, *network, *bits)),
        IpAddr::V6(address) => {
            within_v6(address, GLOBAL_V6) && !SPECIAL_V6.iter().any(|network| within_v6(address, *network))
        }
    }
}

fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let private = |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !PRIVATE_NAMES.iter().any(private)
}

fn within_v4(address: Ipv4Addr, network: [u8; 4], bits: u32) -> bool {
    (u32::from(address) ^ u32::from_be_bytes(network)).leading_zeros() >= bits
}

fn within_v6(address: Ipv6Addr, (network, bits): (u128, u32)) -> bool {
    (u128::from(address) ^ network).leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{Reach, check};

    fn asked(url: &str, reach: Reach, plain: bool) -> bool {
        Url::parse(url).is_ok_and(|url| check(&url, reach, plain).is_ok())
    }

    #[test]
    fn the_public_internet_is_asked() {
        for url in [
            "https://example.org/x",
            "https://example.org:8448/",
            "https://8.8.8.8/",
            "https://172.32.0.1/",
            "https://[2606:4700::1111]/",
            "https://localhost.example.org/",
        ] {
            assert!(asked(url, Reach::Public, false), "{url}");
        }
    }

    #[test]
    fn nothing_else_is_asked_however_it_is_written() {
        for url in [
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://user@example.org/",
            "https://:secret@example.org/",
            "https://example.org:22/",
            "https://example.org:25/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://metadata.google.internal/",
            "https://printer.local/",
            "https://intranet/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://0/",
            "https://10.1.2.3/",
            "https://100.100.100.200/",
            "https://169.254.169.254/latest/meta-data/",
            "https://172.31.255.255/",
            "https://192.168.0.1/",
            "https://198.19.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[::]/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:8.8.8.8]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[ff02::1]/",
            "https://[2001::1]/",
            "https://[2001:db8::1]/",
            "https://[2002:7f00:1::]/",
            "https://１２７.０.０.１/",
        ] {
            assert!(!asked(url, Reach::Public, false), "{url}");
        }
    }

    #[test]
    fn plain_http_is_asked_when_that_is_meant() {
        assert!(asked("http://example.org/", Reach::Public, true));
        assert!(!asked("http://127.0.0.1/", Reach::Public, true));
        assert!(asked("http://127.0.0.1:1/", Reach::Anywhere, false));
        assert!(!asked("ftp://127.0.0.1/", Reach::Anywhere, true));
        assert!(!asked("http://user@127.0.0.1/", Reach::Anywhere, true));
    }
}
