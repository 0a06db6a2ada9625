//! The body of a form.

use tern_model::MatrixError;

use crate::query::parse_query;

/// Longest body of a form, in bytes.
const MAX_BODY: usize = 32 << 10;

/// The fields of a form that was sent, `application/x-www-form-urlencoded`.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, MatrixError> {
        if body.len() > MAX_BODY {
            return Err(MatrixError::too_large("The form is too long"));
        }
        let text = std::str::from_utf8(body).map_err(|_| MatrixError::invalid_param("The form is not UTF-8"))?;
        Ok(Self(parse_query(text)))
    }

    /// A field's value; the first, if there are several.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A field's value, empty when it is not there.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// All fields.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}
