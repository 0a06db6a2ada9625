//! Keys of other servers as the storage worker keeps them.

use ruma::OwnedServerName;
use serde::{Deserialize, Serialize};
use tern_model::{BoundedVec, Millis, Name, RawJson};

/// Most keys in one answer of a server (`tern_federation::server_keys`).
pub const MOST_KEYS: usize = 64;

/// A key of another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredServerKey {
    /// `ed25519:…`
    pub key_id: Name,
    /// The key, in base64 without padding.
    pub key: Name,
    /// Until when it is good; of an old one, until when it was.
    pub valid_until: Millis,
    /// It is an old one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expired: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Has a server say which keys it has, stores them, and answers with all that are stored. Whoever asks at the same time
/// waits for the same answer; a server that had none is left alone for a while. 502 `M_UNREACHABLE` when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchServerKeys {}

/// Stores what a server says of its keys, which was checked, and answers with all keys of it that count from now on. A key
/// that is stored under the same id with another value stays, whatever is said now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreServerKeys {
    /// The server, in small letters.
    pub server: OwnedServerName,
    /// Its keys.
    pub keys: BoundedVec<StoredServerKey, MOST_KEYS>,
    /// What it said, with its signatures: `tern_federation` reads no more than 64 KiB.
    pub response: RawJson,
    /// When.
    pub seen: Millis,
}

/// Reads the keys of a server; none for one of which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadServerKeys {
    /// The server, in small letters.
    pub server: OwnedServerName,
}

/// Most servers in one question to a notary.
pub const MOST_SERVERS: usize = 100;

/// Reads what servers said last; those of which nothing is known do not come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadKeyResponses {
    /// The servers, in small letters.
    pub servers: BoundedVec<OwnedServerName, MOST_SERVERS>,
}

/// What a server said of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKeyResponse {
    /// The server.
    pub server: OwnedServerName,
    /// What it said, with its signatures.
    pub response: RawJson,
}
