//! Objects of the bucket by their keys, out of it and into another one: for backups of the whole server.

use futures::Stream;
use tern_model::MatrixError;
use tern_ports::wire::{archive::PassObject, media::Stored};

use super::{
    BodyError, MediaStore, Objects,
    intake::Intake,
    store::{ORIGINAL, PART},
};
use crate::{commands::archive::admit, sql::Databases};

impl<D: Databases, O: Objects> MediaStore<'_, D, O> {
    /// Opens an object, or stores the body as it. May be repeated.
    ///
    /// # Errors
    /// As [`PassObject`] says; 400 when the body breaks off, 503.
    pub async fn pass(
        &self,
        ask: &PassObject,
        body: impl Stream<Item = Result<Vec<u8>, BodyError>> + Unpin,
    ) -> Result<(Stored, Option<O::Body>), MatrixError> {
        let object = ask.object.as_str();
        let Some(restore) = &ask.restore else {
            let opened = self.objects.open(object, None).await?;
            let opened = opened.ok_or_else(|| MatrixError::not_found("No such object"))?;
            return Ok((Stored { size: opened.size, ..Stored::default() }, Some(opened.body)));
        };
        admit(&self.databases, restore).await?;
        let mut intake = Intake::new(body, u64::MAX);
        let first = intake.piece(PART).await?;
        if first.len() < PART {
            self.objects.put(object, first, ORIGINAL).await?;
        } else {
            self.put_parts(object, first, &mut intake).await?;
        }
        Ok((Stored { size: intake.digest().size, ..Stored::default() }, None))
    }
}
