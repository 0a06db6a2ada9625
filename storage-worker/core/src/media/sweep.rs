//! Deleting what nobody can see any more.

use tern_model::{MatrixError, Millis};

use super::{MediaStore, Objects};
use crate::{
    commands::media::{close, due, mark_orphans},
    sql::Databases,
};

impl<D: Databases, O: Objects> MediaStore<'_, D, O> {
    /// Forgets expired reservations and content that has no name left, then deletes from the bucket what is due: three
    /// batches, and a listing and a deletion per object. Repeated after a failure it goes on where it stopped.
    ///
    /// `cached_before` is how long content of other servers is kept. Returns how many objects were deleted.
    ///
    /// # Errors
    /// 503 when the database or the bucket fails.
    pub async fn sweep(&self, now: Millis, cached_before: Millis) -> Result<usize, MatrixError> {
        mark_orphans(&self.databases, now, cached_before).await?;
        let objects = due(&self.databases, now).await?;
        for object in &objects {
            // What was made of it goes first: afterwards nothing leads there.
            let mut keys = self.objects.list(&derived(object)).await?;
            keys.push(object.clone());
            self.objects.delete(keys).await?;
        }
        close(&self.databases, &objects).await?;
        Ok(objects.len())
    }
}

/// The prefix of the keys of whatever is made of an object.
pub(super) fn derived(object: &str) -> String {
    format!("{object}/")
}
