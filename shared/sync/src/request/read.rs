//! Parts of a request that both shapes read alike.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use tern_model::{MatrixError, RawJson, StreamPos};

/// Most timeline events per room.
pub(crate) const MOST_EVENTS: u32 = 100;

/// Reads the `since` of an extension that is told in order.
pub(super) fn queue_since(text: Option<&str>) -> Result<Option<StreamPos>, MatrixError> {
    let bad = |_| MatrixError::invalid_param("Unknown token in an extension");
    text.map(|text| text.parse().map(StreamPos).map_err(bad)).transpose()
}

/// Reads an object as such: a struct could otherwise also be read from a list, field by field.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let raw = RawJson::deserialize(deserializer)?;
    if !raw.text().starts_with('{') {
        return Err(D::Error::custom("expected an object"));
    }
    raw.read().map_err(D::Error::custom)
}
