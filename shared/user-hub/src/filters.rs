//! Stored filters (Client-Server API, "Filtering").

use sha2::{Digest, Sha256};
use tern_auth::secret;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ObjectHost, WaitingPolls,
    wire::user::{ReadFilter, WriteFilter},
};
use tern_sync::Filter;

use super::{UserActor, store::filters};

/// Longest filter, in bytes.
const LONGEST: usize = 64 * 1024;
/// Most filters of a user.
const MOST_FILTERS: u64 = 1_000;
/// Bytes of all filters of a user.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes of the hash that a filter's id is made of.
const ID_BYTES: usize = 12;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The id is made of the content, so that the same filter gets the same id.
    pub(super) fn write_filter(&self, command: &WriteFilter) -> Result<String, MatrixError> {
        let text = command.filter.text();
        if text.len() > LONGEST {
            return Err(MatrixError::too_large("The filter is too long"));
        }
        // What no sync can use is not kept.
        Filter::parse(&command.filter)?;
        let digest = Sha256::digest(text.as_bytes());
        let filter_id = secret::base64(digest.get(..ID_BYTES).unwrap_or_default());
        let sql = self.host.sql();
        if filters::read(sql, &filter_id)?.is_none() {
            let (held, bytes) = filters::held(sql)?;
            if held >= MOST_FILTERS || bytes + text.len() as u64 > MOST_BYTES {
                return Err(MatrixError::new(403, "M_RESOURCE_LIMIT_EXCEEDED", "Too many filters"));
            }
            filters::add(sql, &filter_id, &command.filter)?;
        }
        Ok(filter_id)
    }

    pub(super) fn read_filter(&self, command: &ReadFilter) -> Result<Option<RawJson>, MatrixError> {
        Ok(filters::read(self.host.sql(), &command.filter_id)?)
    }
}
