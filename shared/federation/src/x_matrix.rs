//! The `Authorization` header of a signed request (Server-Server API, "Request Authentication").
//!
//! It is read as other servers have written it since there are any: the scheme in whatever case, values with or without
//! quotation marks, blanks around commas. A request may carry several, one for each key, and the platform hands them over
//! as one header, joined by commas.

use crate::server_name::ServerName;

/// Longest header that is read, in bytes.
pub const LONGEST: usize = 16 << 10;
/// Most signatures of one request that are looked at.
pub const MOST: usize = 4;
/// Longest parameter that means something, in bytes: a server name with its port.
const LONGEST_VALUE: usize = 261;

/// What a request says of who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XMatrix {
    /// The server that sends it.
    pub origin: ServerName,
    /// `origin` as it was written, which is what was signed.
    pub written_origin: String,
    /// Whom it was meant for; older servers do not say.
    pub destination: Option<String>,
    /// `ed25519:…`
    pub key_id: String,
    /// The signature, in base64.
    pub signature: String,
}

/// Why a header names no sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is no signature.
    #[error("The request is not signed")]
    Missing,
    /// There is one that cannot be read.
    #[error("The Authorization header is malformed")]
    Malformed,
}

/// Reads a header: every signature in it that can be read, at most [`MOST`], at least one.
///
/// # Errors
/// [`HeaderError`].
pub fn read(header: &str) -> Result<Vec<XMatrix>, HeaderError> {
    if header.len() > LONGEST {
        return Err(HeaderError::Malformed);
    }
    let mut rest = Reader(header);
    let (mut found, mut seen) = (Vec::new(), false);
    while found.len() < MOST {
        rest.skip(", \t");
        let Some(scheme) = rest.token() else { break };
        let params = rest.parameters();
        if scheme.eq_ignore_ascii_case("x-matrix") {
            seen = true;
            found.extend(params.and_then(assembled));
        }
    }
    match (found.is_empty(), seen || !rest.0.is_empty()) {
        (false, _) => Ok(found),
        (true, true) => Err(HeaderError::Malformed),
        (true, false) => Err(HeaderError::Missing),
    }
}

/// Writes the header of a request that is sent, in the one form that every server reads.
pub fn write(origin: &str, destination: &str, key_id: &str, signature: &str) -> String {
    format!(r#"X-Matrix origin="{origin}",key="{key_id}",sig="{signature}",destination="{destination}""#)
}

/// Names and values, in order.
type Parameters = Vec<(String, String)>;

fn assembled(params: Parameters) -> Option<XMatrix> {
    let mut known: [Option<String>; 4] = Default::default();
    for (name, value) in params {
        let place = ["origin", "destination", "key", "sig"].iter().position(|one| name.eq_ignore_ascii_case(one));
        let Some(slot) = place.and_then(|place| known.get_mut(place)) else { continue };
        // Whoever says two things says nothing.
        if value.len() > LONGEST_VALUE || slot.replace(value).is_some() {
            return None;
        }
    }
    let [origin, destination, key, signature] = known;
    let written_origin = origin?;
    Some(XMatrix {
        origin: ServerName::parse(&written_origin)?,
        written_origin,
        destination,
        key_id: key.filter(|key| key.starts_with("ed25519:"))?,
        signature: signature?,
    })
}

/// What is left of a header.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn skip(&mut self, these: &str) {
        self.0 = self.0.trim_start_matches(|char| these.contains(char));
    }

    /// As much as `wanted` holds for; `None` for nothing.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> Option<&'a str> {
        let end = self.0.find(|char| !wanted(char)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!taken.is_empty()).then_some(taken)
    }

    /// A token (RFC 9110, 5.6.2).
    fn token(&mut self) -> Option<&'a str> {
        self.take(|char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char))
    }

    /// The parameters up to the next scheme, or to the end; `None` where they cannot be read, with the rest skipped.
    fn parameters(&mut self) -> Option<Parameters> {
        let mut params = Parameters::new();
        loop {
            self.skip(", \t");
            let before = self.0;
            let Some(name) = self.token() else {
                let over = self.0.is_empty();
                self.0 = "";
                return over.then_some(params);
            };
            self.skip(" \t");
            let Some(value) = self.0.strip_prefix('=') else {
                // Not a name but the next scheme, or what some other scheme says.
                self.0 = before;
                return Some(params);
            };
            self.0 = value;
            self.skip(" \t");
            params.push((name.to_owned(), self.value()?));
        }
    }

    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            return Some(self.take(|char| !", \t".contains(char)).unwrap_or_default().to_owned());
        };
        let (mut value, mut chars) = (String::new(), quoted.chars());
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => value.push(chars.next()?),
                Some(char) => value.push(char),
                None => {
                    self.0 = "";
                    return None;
                }
            }
        }
        self.0 = chars.as_str();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderError, MOST, XMatrix, read, write};

    fn one(header: &str) -> XMatrix {
        let all = read(header).unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!(all.len(), 1, "{header}");
        all.into_iter().next().unwrap()
    }

    #[test]
    fn a_header_is_read_in_every_form_that_was_ever_written() {
        let expected = one(&write("a.org", "b.org", "ed25519:1", "c2ln"));
        assert_eq!((expected.origin.to_string().as_str(), expected.key_id.as_str()), ("a.org", "ed25519:1"));
        for header in [
            "X-Matrix origin=a.org,destination=b.org,key=ed25519:1,sig=c2ln",
            "x-matrix origin=a.org,destination=b.org,key=ed25519:1,sig=c2ln",
            "X-MATRIX  Origin=\"a.org\" , DESTINATION = \"b.org\",\tkey= \"ed25519:1\",sig=\"c2ln\"",
            r#"X-Matrix origin="a.\org",destination=b.org,key=ed25519:1,sig="c2ln",unknown="x, y",other=z"#,
            "X-Matrix origin=a.org,,destination=b.org,key=ed25519:1,sig=c2ln,",
            "Bearer x-y.z, X-Matrix origin=a.org,destination=b.org,key=ed25519:1,sig=c2ln",
            "X-Matrix origin=a.org,destination=b.org,key=ed25519:1,sig=c2ln, Bearer abc",
        ] {
            assert_eq!(one(header), expected, "{header}");
        }
        let capital = one("X-Matrix origin=A.org,key=ed25519:1,sig=a+/b==");
        assert_eq!((capital.origin.to_string().as_str(), capital.written_origin.as_str()), ("a.org", "A.org"));
        assert_eq!((capital.destination, capital.signature.as_str()), (None, "a+/b=="));
    }

    #[test]
    fn of_several_all_that_can_be_read_are() {
        let two = "X-Matrix origin=a.org,key=ed25519:1,sig=x, X-Matrix origin=a.org,key=ed25519:2,sig=y";
        let keys = |header: &str| read(header).map(|all| all.into_iter().map(|one| one.key_id).collect::<Vec<_>>());
        assert_eq!(keys(two), Ok(vec!["ed25519:1".to_owned(), "ed25519:2".to_owned()]));
        let half = "X-Matrix origin=a.org, X-Matrix origin=a.org,key=ed25519:2,sig=y";
        assert_eq!(keys(half), Ok(vec!["ed25519:2".to_owned()]));
        assert_eq!(read(&[two; 9].join(",")).map(|all| all.len()), Ok(MOST));
    }

    #[test]
    fn what_names_no_sender_is_refused() {
        for header in ["", "Bearer abc", "Basic YTpi", "Bearer a/b", "  "] {
            assert_eq!(read(header), Err(HeaderError::Missing), "{header}");
        }
        let long = format!("X-Matrix origin=a.org,key=ed25519:1,sig={}", "a".repeat(262));
        for header in [
            "X-Matrix",
            "X-Matrix nonsense",
            "X-Matrix origin=a.org,key=ed25519:1",
            "X-Matrix origin=a.org,sig=x",
            "X-Matrix key=ed25519:1,sig=x",
            "X-Matrix origin=a b,key=ed25519:1,sig=x",
            "X-Matrix origin=a/b,key=ed25519:1,sig=x",
            "X-Matrix origin=a.org,key=curve25519:1,sig=x",
            "X-Matrix origin=a.org,origin=b.org,key=ed25519:1,sig=x",
            r#"X-Matrix origin="a.org,key=ed25519:1,sig=x"#,
            "X-Matrix origin=a.org;key=ed25519:1;sig=x",
            "\"X-Matrix",
            &long,
            &format!("X-Matrix {}", "a".repeat(20_000)),
        ] {
            assert_eq!(read(header), Err(HeaderError::Malformed), "{header}");
        }
    }
}
