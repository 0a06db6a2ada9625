//! Backups of room keys (Client-Server API, "Server-side key backups"), as the storage worker keeps them.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use tern_model::RawJson;

/// Makes a new backup, which becomes the current one. Gives its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateBackup {
    /// The user.
    pub user_id: OwnedUserId,
    /// `algorithm`.
    pub algorithm: String,
    /// `auth_data`.
    pub auth_data: RawJson,
}

/// Reads about a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBackup {
    /// The user.
    pub user_id: OwnedUserId,
    /// Which; `None` for the current one.
    pub version: Option<u64>,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its version.
    pub version: u64,
    /// `algorithm`.
    pub algorithm: String,
    /// `auth_data`.
    pub auth_data: RawJson,
    /// How much there is in it.
    pub state: BackupState,
}

/// What a backup holds, as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupState {
    /// Grows with every change of its keys.
    pub etag: u64,
    /// Number of keys.
    pub count: u64,
}

/// Replaces `auth_data`. False when there is no such backup of this algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateBackup {
    /// The user.
    pub user_id: OwnedUserId,
    /// Which backup.
    pub version: u64,
    /// Its algorithm, which does not change.
    pub algorithm: String,
    /// The new `auth_data`.
    pub auth_data: RawJson,
}

/// Deletes a backup with its keys; its version is not used again. False when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteBackup {
    /// The user.
    pub user_id: OwnedUserId,
    /// Which backup.
    pub version: u64,
}

/// Deletes all backups of a user, who is not coming back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropBackups {
    /// The user.
    pub user_id: OwnedUserId,
}

/// Adds keys to the current backup, all or none; of two keys of one session the better one stays. Nothing is stored when
/// the version is not the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreBackupKeys {
    /// The user.
    pub user_id: OwnedUserId,
    /// Which backup.
    pub version: u64,
    /// The keys, each session at most once.
    pub keys: Vec<BackupKey>,
}

/// The encrypted key of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupKey {
    /// The room.
    pub room_id: String,
    /// The session.
    pub session_id: String,
    /// `first_message_index`: lower is better.
    pub first_message_index: u64,
    /// `forwarded_count`: lower is better.
    pub forwarded_count: u64,
    /// `is_verified`: better than anything that is not.
    pub is_verified: bool,
    /// `session_data`, which only the user can read.
    pub session_data: RawJson,
}

/// The answer to [`StoreBackupKeys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupStored {
    /// The backup as it is now.
    Stored(BackupState),
    /// The current version is another one, or there is none.
    OtherVersion(Option<u64>),
    /// The user's backups take all the room that they may: nothing was stored.
    Full,
}

/// A range of keys in order of room and session: from the first pair, included, to the second, excluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// First room and session.
    pub from: (String, String),
    /// Room and session after the last.
    pub until: (String, String),
}

/// Reads keys in order, at most `limit`, and none more once `most_bytes` are reached; `None` when there is no such backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBackupKeys {
    /// The user.
    pub user_id: OwnedUserId,
    /// Which backup.
    pub version: u64,
    /// Which keys.
    pub range: KeyRange,
    /// Most keys.
    pub limit: u64,
    /// Bytes of their data after which no further key comes.
    pub most_bytes: u64,
}

/// Deletes keys; `None` when there is no such backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteBackupKeys {
    /// The user.
    pub user_id: OwnedUserId,
    /// Which backup.
    pub version: u64,
    /// Which keys.
    pub range: KeyRange,
}
