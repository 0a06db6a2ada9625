//! Canonical JSON (Appendices).

use std::borrow::Cow;

use ruma::CanonicalJsonObject;
use tern_model::RawJson;

use crate::error::BuildError;

/// Reads an object whose numbers are whole and within ±(2^53 - 1) (Appendices, "Canonical JSON").
pub(crate) fn canonical_object(raw: &RawJson) -> Result<CanonicalJsonObject, BuildError> {
    if !raw.text().starts_with('{') {
        return Err(BuildError::BadJson(Cow::Borrowed("The content of an event must be an object")));
    }
    raw.read().map_err(|error| BuildError::BadJson(format!("The content is not canonical JSON: {error}").into()))
}
