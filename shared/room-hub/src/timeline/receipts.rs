//! How many receipts a room keeps.

use tern_model::Receipt;
use tern_object_kit::schema::Step;
use tern_ports::{Sql, SqlError};

use crate::timeline::store::Store;

/// Of the receipts of threads that a user has sent, the newest 200 stay. Parameters: user and kind.
const DROP_OLDEST_THREADS: &str = "DELETE FROM receipts WHERE user_id = +?1 AND kind = +?2 AND thread_id IN (
    SELECT thread_id FROM receipts WHERE user_id = +?1 AND kind = +?2 AND thread_id <> ''
    ORDER BY ts DESC LIMIT -1 OFFSET 200)";

/// Receipts of earlier builds that are longer than any may be.
pub(crate) const BOUNDED: Step =
    &["DELETE FROM receipts WHERE length(CAST(thread_id AS BLOB)) > 255 OR length(CAST(event_id AS BLOB)) > 255"];

impl<S: Sql> Store<'_, S> {
    /// Keeps the user's newest receipts of threads, so that nobody fills the room by naming ever new ones.
    pub(crate) fn drop_oldest_threads(self, receipt: &Receipt) -> Result<(), SqlError> {
        let (user_id, kind) = (receipt.user_id.as_str(), receipt.kind.as_str());
        self.0.query(DROP_OLDEST_THREADS, &[user_id.into(), kind.into()])?;
        Ok(())
    }
}
