//! Storing.

use futures::Stream;
use tern_model::{MatrixError, Millis};
use tern_ports::wire::media::{PictureFacts, StoreMedia, Stored};

use super::{
    BodyError, MediaStore, Objects,
    envelope::{self, Opened},
    intake::{Content, Intake},
};
use crate::{
    commands::media::{Commit, admission, commit},
    sql::Databases,
};

/// Length of the parts of a long upload, in bytes: the least that R2 accepts. Two of them are in memory at once.
pub const PART: usize = 5 << 20;

/// The type of every original in the bucket: what it is served as is known only to the databases.
pub(super) const ORIGINAL: &str = "application/octet-stream";

/// When an object that was never committed may be deleted: long after any upload is over.
const GRACE_MS: u64 = 24 * 60 * 60 * 1000;

impl<D: Databases, O: Objects> MediaStore<'_, D, O> {
    /// Stores a body under the key `object`, which nobody used before, unless the same content is there already. Two
    /// batches, and one put or, beyond [`PART`], a multipart upload.
    ///
    /// # Errors
    /// As [`StoreMedia`] says; 400 when the body breaks off, 503 when a database or the bucket fails. Nothing is stored then.
    pub async fn store(
        &self,
        ask: &StoreMedia,
        object: &str,
        body: impl Stream<Item = Result<Vec<u8>, BodyError>> + Unpin,
    ) -> Result<Stored, MatrixError> {
        let Some(envelope) = &ask.envelope else { return self.store_content(ask, object, body).await };
        match envelope::open(envelope, body).await? {
            Opened::Elsewhere(url) => Ok(Stored { elsewhere: Some(url), ..Stored::default() }),
            Opened::Content(what, body) => self.store_content(&envelope::described(ask, what), object, body).await,
        }
    }

    async fn store_content(
        &self,
        ask: &StoreMedia,
        object: &str,
        body: impl Stream<Item = Result<Vec<u8>, BodyError>> + Unpin,
    ) -> Result<Stored, MatrixError> {
        let mut intake = Intake::new(body, ask.max_length);
        let first = intake.piece(PART).await?;
        if ask.picture {
            let facts = look(&first)?;
            let ask = StoreMedia { content_type: facts.content_type.clone(), ..ask.clone() };
            let stored = self.store_pieces(&ask, object, first, intake).await?;
            return Ok(Stored { picture: Some(facts), ..stored });
        }
        self.store_pieces(ask, object, first, intake).await
    }

    async fn store_pieces(
        &self,
        ask: &StoreMedia,
        object: &str,
        first: Vec<u8>,
        mut intake: Intake<impl Stream<Item = Result<Vec<u8>, BodyError>> + Unpin>,
    ) -> Result<Stored, MatrixError> {
        let due = Millis(ask.ts.0.saturating_add(GRACE_MS));
        let content = if first.len() < PART {
            let content = intake.digest();
            let known = admission(&self.databases, ask, Some(&content.sha256), object, due).await?;
            if known {
                if self.committed(ask, &content, None).await? {
                    return Ok(Stored { size: content.size, ..Stored::default() });
                }
                // It went just now, so that no orphan mark was written for the object that is needed after all.
                admission(&self.databases, ask, None, object, due).await?;
            }
            self.objects.put(object, first, ORIGINAL).await?;
            content
        } else {
            admission(&self.databases, ask, None, object, due).await?;
            self.put_parts(object, first, &mut intake).await?
        };
        if !self.committed(ask, &content, Some(object)).await? {
            // The same content came another way meanwhile; its object counts.
            self.objects.delete(vec![object.to_owned()]).await?;
        }
        Ok(Stored { size: content.size, ..Stored::default() })
    }

    /// Makes the content visible. False when the object given is not the one that is used.
    async fn committed(&self, ask: &StoreMedia, content: &Content, object: Option<&str>) -> Result<bool, MatrixError> {
        match commit(&self.databases, ask, &content.sha256, content.size, object).await? {
            Commit::Done { object: used } => Ok(object.is_none_or(|ours| ours == used)),
            Commit::Gone => Ok(false),
        }
    }

    pub(super) async fn put_parts<S: Stream<Item = Result<Vec<u8>, BodyError>> + Unpin>(
        &self,
        object: &str,
        first: Vec<u8>,
        intake: &mut Intake<S>,
    ) -> Result<Content, MatrixError> {
        let mut upload = self.objects.begin(object).await?;
        match self.add_parts(&mut upload, first, intake).await {
            Ok(()) => self.objects.complete(upload).await?,
            Err(error) => {
                self.objects.abandon(upload).await?;
                return Err(error);
            }
        }
        Ok(intake.digest())
    }

    async fn add_parts<S: Stream<Item = Result<Vec<u8>, BodyError>> + Unpin>(
        &self,
        upload: &mut O::Upload,
        first: Vec<u8>,
        intake: &mut Intake<S>,
    ) -> Result<(), MatrixError> {
        let mut piece = first;
        while !piece.is_empty() {
            self.objects.add(upload, piece).await?;
            piece = intake.piece(PART).await?;
        }
        Ok(())
    }
}

/// What picture this is.
fn look(file: &[u8]) -> Result<PictureFacts, MatrixError> {
    let picture = tern_thumbnail::look(file).map_err(|_| MatrixError::new(400, "M_UNKNOWN", "This is no picture"))?;
    let (width, height) = (picture.width, picture.height);
    Ok(PictureFacts { content_type: picture.content_type.to_owned(), width, height })
}
