//! What the hot tail weighs: so that what somebody says at length does not fill the hub for as long as short messages stay.

use tern_model::{RoomSeq, StoredEvent};
use tern_ports::{Row, Sql, SqlError};

use crate::timeline::{head::Head, store::Store};

/// With more bytes the tail is cut at once, whatever its age, and that is what is left of it. A transaction that is
/// repeated after so much was said is not known any more.
const MAX_BYTES: u64 = 3 << 20;
const KEPT_BYTES: u64 = 3 << 19;

/// What an event takes.
pub(crate) fn size(event: &StoredEvent) -> u64 {
    (event.pdu.text().len() + event.unsigned.as_ref().map_or(0, |unsigned| unsigned.text().len())) as u64
}

impl<S: Sql> Store<'_, S> {
    /// Positions and sizes of the events above `after`, the newest first.
    fn sizes(self, after: RoomSeq) -> Result<Vec<(RoomSeq, u64)>, SqlError> {
        let rows = self.0.query(
            "SELECT seq, length(CAST(pdu AS BLOB)) + coalesce(length(CAST(unsigned AS BLOB)), 0) FROM events
             WHERE seq > ? ORDER BY seq DESC",
            &[after.0.into()],
        )?;
        Ok(rows.iter().filter_map(|row: &Row| Some((RoomSeq(row.int(0)?), row.int(1)?))).collect())
    }

    /// What the events above `after` weigh.
    pub(crate) fn bytes_after(self, after: RoomSeq) -> Result<u64, SqlError> {
        Ok(self.sizes(after)?.into_iter().map(|(_, bytes)| bytes).sum())
    }

    /// Up to where a tail that is too heavy is to be cut; nothing for any other.
    pub(crate) fn too_heavy(self, head: &Head) -> Result<Option<RoomSeq>, SqlError> {
        if head.tail_bytes.is_some_and(|bytes| bytes <= MAX_BYTES) {
            return Ok(None);
        }
        let (mut all, mut cut) = (0, None);
        for (seq, bytes) in self.sizes(head.tail)? {
            all += bytes;
            cut = cut.or((all > KEPT_BYTES).then_some(seq));
        }
        Ok(cut.filter(|_| all > MAX_BYTES))
    }
}
