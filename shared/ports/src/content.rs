//! Carrying content to the storage worker, beside a frame.

use std::future::Future;

use tern_model::MatrixError;

use crate::wire::media::{StoreMedia, Stored};

/// Carries content that is short enough to be in memory.
pub trait ContentTransport {
    /// Stores `content`.
    ///
    /// # Errors
    /// As [`StoreMedia`] says, or 503 when the storage worker cannot be reached.
    fn store_content(&self, ask: StoreMedia, content: Vec<u8>) -> impl Future<Output = Result<Stored, MatrixError>>;
}
