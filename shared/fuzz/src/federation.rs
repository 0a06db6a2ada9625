//! What another server sends before it is known who it is: the header `X-Matrix`, a line break, a body, a well-known answer
//! or keys.

use serde_json::Value;
use tern_federation::{canonical, server_keys, server_name::ServerName, well_known, x_matrix};
use tern_model::Millis;

/// A canonical body is canonical, and says what the body said; names and keys are what they must be.
pub(crate) fn x_matrix(data: &[u8]) {
    let Some((header, body)) = crate::input::halves(data) else { return };
    let signatures = std::str::from_utf8(header).ok().and_then(|header| x_matrix::read(header).ok());
    if let Some(signatures) = signatures {
        assert!(!signatures.is_empty() && signatures.len() <= x_matrix::MOST, "bounded");
    }
    if let Ok(written) = canonical::object(body) {
        assert_eq!(canonical::object(written.as_bytes()).as_ref(), Ok(&written), "canonical twice");
        let said = (serde_json::from_slice::<Value>(body).ok(), serde_json::from_str::<Value>(&written).ok());
        assert_eq!(said.0, said.1, "says something else");
    }
    if let Some(name) = well_known::read(200, body) {
        assert_eq!(ServerName::parse(&name.to_string()), Some(name), "a name that can be written");
    }
    let server = ServerName::parse("other.example").expect("it is a name");
    if let Ok(response) = server_keys::read(body, &server, Millis(1_700_000_000_000)) {
        assert!(response.keys.len() <= server_keys::MOST_KEYS, "bounded");
    }
}
