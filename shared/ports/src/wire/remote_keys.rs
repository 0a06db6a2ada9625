//! Keys of users of other servers: what the object of their server is asked about them.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use tern_model::{BoundedVec, MatrixError};

use super::keys::{FoundKeys, RemoteUser};

/// Most users in one question.
pub const MOST_USERS: usize = 5_000;
/// Most users in one note: as many as a transaction has EDUs.
pub const MOST_NOTED: usize = 100;

/// The keys of users of the server, for a user here. Keys of those with whom a room is shared are kept, and the asker is told
/// when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryRemoteKeys {
    /// Who asks.
    pub asker: OwnedUserId,
    /// Whose keys.
    pub users: BoundedVec<RemoteUser, MOST_USERS>,
}

/// The answer to [`QueryRemoteKeys`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteKeys {
    /// Those that are known: all, unless the server failed.
    pub found: Vec<FoundKeys>,
    /// Why the others are not: 502 or 504 `M_UNREACHABLE`, 403 `M_FORBIDDEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<MatrixError>,
}

/// The server says that devices or cross-signing keys of its users have changed. The answer comes when nobody here is told
/// the old ones any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRemoteDevices {
    /// The users.
    pub users: BoundedVec<OwnedUserId, MOST_NOTED>,
}

/// The `stream_id` by which other servers know how often the keys of a user here have changed: even numbers, so that a change
/// can name one before it that no server has seen, which has the server ask for all devices (Server-Server API, "Device
/// Management").
pub const fn stream_id(version: u64) -> u64 {
    version.saturating_mul(2)
}
