//! What is signed of a request (Server-Server API, "Request Authentication").

use std::borrow::Cow;

use crate::{
    canonical::{self, CanonicalError},
    signature::{PrivateKey, PublicKey},
    x_matrix,
};

/// A request between two servers, as far as it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Path and query, as they were sent.
    pub target: &'a str,
    /// The sender, as it writes itself.
    pub origin: &'a str,
    /// Whom it is for: the name of the server, also where another host answers for it.
    pub destination: &'a str,
    /// The body in canonical form.
    pub content: Option<&'a str>,
}

/// The body of a request in canonical form; nothing where there is none.
///
/// # Errors
/// [`CanonicalError`] for a body that is no object.
pub fn content(body: &[u8]) -> Result<Option<String>, CanonicalError> {
    if body.iter().all(u8::is_ascii_whitespace) { Ok(None) } else { canonical::object(body).map(Some) }
}

impl SignedRequest<'_> {
    /// The `Authorization` header of this request.
    pub fn sign(&self, key: &PrivateKey) -> String {
        let signature = key.sign(self.text(self.target).as_bytes());
        x_matrix::write(self.origin, self.destination, &key.id, &signature)
    }

    /// Whether the signature is one of this request by this key. The platform writes an apostrophe in a query as `%27`
    /// before anybody sees it, so where there is one, the signature may be over the other.
    pub fn is_signed_by(&self, key: &PublicKey, signature: &str) -> bool {
        let signed = |target: &str| key.verifies(self.text(target).as_bytes(), signature);
        signed(self.target) || unescaped(self.target).is_some_and(|target| signed(&target))
    }

    fn text(&self, target: &str) -> String {
        let content = self.content.map(|content| format!("\"content\":{content},")).unwrap_or_default();
        let [destination, method, origin, uri] = [self.destination, self.method, self.origin, target].map(quoted);
        format!("{{{content}\"destination\":{destination},\"method\":{method},\"origin\":{origin},\"uri\":{uri}}}")
    }
}

fn quoted(text: &str) -> Cow<'_, str> {
    serde_json::to_string(text).map_or(Cow::Borrowed("\"\""), Cow::Owned)
}

/// The target with apostrophes in its query, if there may have been some.
fn unescaped(target: &str) -> Option<String> {
    let (path, query) = target.split_once('?').filter(|(_, query)| query.contains("%27"))?;
    Some(format!("{path}?{}", query.replace("%27", "'")))
}

#[cfg(test)]
mod tests {
    use super::{SignedRequest, content};
    use crate::{signature::PrivateKey, x_matrix};

    fn signed(request: &SignedRequest<'_>) -> String {
        let header = request.sign(&PrivateKey::new("ed25519:1", &[7; 32]).unwrap());
        x_matrix::read(&header).unwrap().remove(0).signature
    }

    fn holds(request: &SignedRequest<'_>, signature: &str) -> bool {
        request.is_signed_by(&PrivateKey::new("ed25519:1", &[7; 32]).unwrap().public(), signature)
    }

    const REQUEST: SignedRequest<'static> = SignedRequest {
        method: "PUT",
        target: "/_matrix/federation/v1/send/1?a=%27b%27",
        origin: "a.org",
        destination: "b.org",
        content: Some(r#"{"pdus":[]}"#),
    };

    #[test]
    fn the_signed_text_is_the_specified_one() {
        let text = r#"{"content":{"pdus":[]},"destination":"b.org","method":"PUT","origin":"a.org","uri":"/t"}"#;
        assert_eq!(REQUEST.text("/t"), text);
        let without = SignedRequest { content: None, ..REQUEST };
        assert_eq!(without.text("/\"\n"), r#"{"destination":"b.org","method":"PUT","origin":"a.org","uri":"/\"\n"}"#);
    }

    #[test]
    fn every_part_is_signed() {
        let signature = signed(&REQUEST);
        assert!(holds(&REQUEST, &signature));
        for other in [
            SignedRequest { method: "POST", ..REQUEST },
            SignedRequest { target: "/_matrix/federation/v1/send/2", ..REQUEST },
            SignedRequest { origin: "A.org", ..REQUEST },
            SignedRequest { destination: "c.org", ..REQUEST },
            SignedRequest { content: Some("{}"), ..REQUEST },
            SignedRequest { content: None, ..REQUEST },
        ] {
            assert!(!holds(&other, &signature), "{other:?}");
        }
    }

    #[test]
    fn an_apostrophe_in_the_query_may_have_been_escaped_on_the_way() {
        let sent = SignedRequest { target: "/_matrix/federation/v1/send/1?a='b'", ..REQUEST };
        assert!(holds(&REQUEST, &signed(&sent)), "escaped by the platform");
        let path = |target| SignedRequest { target, ..REQUEST };
        assert!(!holds(&path("/a%27b?c"), &signed(&path("/a'b?c"))), "the platform leaves paths alone");
    }

    #[test]
    fn a_body_is_an_object_or_nothing() {
        assert_eq!((content(b""), content(b" \n")), (Ok(None), Ok(None)));
        assert_eq!(content(b"{ }"), Ok(Some("{}".to_owned())));
        assert!(content(b"[]").is_err() && content(b"\0").is_err());
    }
}
