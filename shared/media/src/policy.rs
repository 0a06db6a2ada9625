//! What an operator allows.

use tern_model::{MatrixError, Millis};

/// Limits of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Longest upload, in bytes.
    pub max_upload: u64,
    /// What one user may keep, in bytes; `None` for no limit.
    pub quota: Option<u64>,
    /// How long a reserved id waits for its content, in milliseconds.
    pub reservation_ms: u64,
    /// How many reserved ids of one user may wait at once.
    pub max_reservations: u64,
    /// The unauthenticated paths serve what was uploaded before this, and nothing when it is `None`.
    pub open_before: Option<Millis>,
    /// Addresses in messages are looked at for previews.
    pub previews: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_upload: 100_000_000,
            quota: None,
            reservation_ms: 24 * 60 * 60 * 1000,
            max_reservations: 50,
            open_before: None,
            previews: false,
        }
    }
}

impl Policy {
    /// Refuses a body by its declared length, before any of it is read.
    ///
    /// # Errors
    /// 413 `M_TOO_LARGE`.
    pub fn admit(&self, declared: Option<u64>) -> Result<(), MatrixError> {
        match declared {
            Some(length) if length > self.max_upload => Err(Self::too_large()),
            _ => Ok(()),
        }
    }

    /// 413 `M_TOO_LARGE`.
    pub fn too_large() -> MatrixError {
        MatrixError::too_large("The content is larger than this server accepts")
    }
}
