//! A body, in pieces of the size the bucket wants, hashed on the way.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tern_model::MatrixError;

/// The body cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It broke off.
    BrokeOff,
    /// It is not in the envelope that was announced.
    NoEnvelope,
}

impl From<BodyError> for MatrixError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::BrokeOff => Self::new(400, "M_UNKNOWN", "The body broke off"),
            BodyError::NoEnvelope => Self::new(502, "M_UNKNOWN", "The other server did not answer as it should"),
        }
    }
}

/// Reads a body piece by piece and holds at most one piece and one chunk of it.
pub(super) struct Intake<S> {
    body: S,
    /// The part of a chunk that did not fit the last piece.
    rest: Vec<u8>,
    hash: Sha256,
    size: u64,
    most: u64,
}

impl<S: Stream<Item = Result<Vec<u8>, BodyError>> + Unpin> Intake<S> {
    pub(super) fn new(body: S, most: u64) -> Self {
        Self { body, rest: Vec::new(), hash: Sha256::new(), size: 0, most }
    }

    /// The next `length` bytes; fewer at the end of the body, none after it.
    pub(super) async fn piece(&mut self, length: usize) -> Result<Vec<u8>, MatrixError> {
        let mut piece = std::mem::take(&mut self.rest);
        while piece.len() < length {
            let Some(chunk) = self.body.next().await else { break };
            let chunk = chunk?;
            self.count(&chunk)?;
            piece.reserve_exact(length.saturating_sub(piece.len()).max(chunk.len()));
            piece.extend_from_slice(&chunk);
        }
        if piece.len() > length {
            self.rest = piece.split_off(length);
        }
        Ok(piece)
    }

    fn count(&mut self, chunk: &[u8]) -> Result<(), MatrixError> {
        self.size = self.size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.size > self.most {
            return Err(tern_media::Policy::too_large());
        }
        self.hash.update(chunk);
        Ok(())
    }

    /// Hash and length of what was read so far.
    pub(super) fn digest(&self) -> Content {
        Content { sha256: URL_SAFE_NO_PAD.encode(self.hash.clone().finalize()), size: self.size }
    }
}

/// What content is identified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// Base64, URL-safe, unpadded.
    pub(super) sha256: String,
    /// In bytes.
    pub(super) size: u64,
}
