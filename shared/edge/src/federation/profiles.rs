//! Profiles of users of other servers, remembered by each isolate for a while.

use std::cell::RefCell;

use lru::LruCache;
use ruma::{OwnedUserId, UserId};
use tern_model::{MatrixError, Millis};
use tern_ports::{Clock, Transport, wire::user::Profile};

use super::requests::{escaped, look_up};

/// How long a profile, or that there is none, is remembered, in milliseconds.
const FRESH_FOR: u64 = 60_000;
/// Longest profile, in bytes; longer ones than the second are not remembered.
const LONGEST: usize = 64 * 1024;
const LONGEST_KEPT: usize = 4 * 1024;
/// Profiles that are remembered.
const CAPACITY: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(999);

/// What a server said of a user.
type Said = Result<Profile, MatrixError>;

/// What an isolate remembers of profiles elsewhere.
pub struct RemoteProfiles(RefCell<LruCache<OwnedUserId, (Millis, Said)>>);

impl Default for RemoteProfiles {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(CAPACITY)))
    }
}

impl RemoteProfiles {
    /// `GET /query/profile` of the user's server. `admit` is asked before it is.
    ///
    /// # Errors
    /// 404 `M_NOT_FOUND` for somebody who is not there, 403 `M_FORBIDDEN` where that is not told; 502; 504; that of `admit`.
    pub async fn read<E: Transport + Clock>(
        &self,
        edge: &E,
        user_id: &UserId,
        admit: impl FnOnce() -> Result<(), MatrixError>,
    ) -> Said {
        let known = self.0.borrow_mut().get(user_id).cloned().filter(|(until, _)| edge.now() < *until);
        if let Some((_, said)) = known {
            return said;
        }
        admit()?;
        let target = format!("/_matrix/federation/v1/query/profile?user_id={}", escaped(user_id.as_str()));
        let answer = look_up(edge, user_id.server_name(), target, None, LONGEST).await;
        let is_kept = match &answer {
            Ok(answer) => answer.text().len() <= LONGEST_KEPT,
            // Not the other server's fault.
            Err(error) => error.status != 503,
        };
        let malformed = |_| MatrixError::new(502, "M_UNKNOWN", "The other server did not answer as it should");
        let said = answer.and_then(|answer| answer.read().map_err(malformed));
        if is_kept {
            self.0.borrow_mut().put(user_id.to_owned(), (edge.now().plus(FRESH_FOR), said.clone()));
        }
        said
    }
}
