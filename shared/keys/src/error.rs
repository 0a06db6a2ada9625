//! Why keys or signatures are refused.

use tern_model::MatrixError;

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A field is missing or of the wrong shape.
    #[error("{0}")]
    BadJson(&'static str),
    /// The object says that it belongs to another user or device.
    #[error("These keys belong to another user or device")]
    NotYours,
    /// A signature is missing where there must be one, or is wrong.
    #[error("Invalid signature")]
    BadSignature,
    /// The signed object is not the one that is stored under this id.
    #[error("This is not the key that is stored under this id")]
    OtherKey,
    /// There is no such device or key.
    #[error("Unknown device or key")]
    Unknown,
    /// Another key of this id was uploaded before.
    #[error("A one-time key of this id was uploaded before, with other content")]
    Reused,
    /// More keys than the server keeps for a device.
    #[error("Too many keys")]
    TooMany,
    /// There is no master key that could vouch for the others.
    #[error("There is no master key")]
    NoMaster,
    /// The public key is the id of a device, or the other way round, so signatures could be mistaken.
    #[error("A device cannot have the id of a cross-signing key")]
    IdInUse,
}

impl From<KeyError> for MatrixError {
    fn from(error: KeyError) -> Self {
        let (status, errcode) = match error {
            KeyError::BadJson(_) => (400, "M_BAD_JSON"),
            KeyError::NotYours | KeyError::OtherKey | KeyError::Reused => (400, "M_INVALID_PARAM"),
            KeyError::BadSignature => (400, "M_INVALID_SIGNATURE"),
            KeyError::Unknown => (404, "M_NOT_FOUND"),
            KeyError::TooMany => (413, "M_TOO_LARGE"),
            KeyError::NoMaster => (400, "M_MISSING_PARAM"),
            KeyError::IdInUse => (403, "M_FORBIDDEN"),
        };
        Self::new(status, errcode, error.to_string())
    }
}
