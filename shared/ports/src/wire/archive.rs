//! Copies of the whole server: what is in the databases and the bucket, out of them and back into empty ones.

use serde::{Deserialize, Serialize};
use tern_model::{BoundedJson, Name};

/// Reads or writes a part of the databases. Only an administrator asks; what the question may be, the storage worker knows
/// (`tern_storage::commands::archive`), and the proxy passes it on as it came, with the answer likewise. Fails with 400
/// `M_BAD_JSON`, and with 409 `TERN_NOT_EMPTY` where something is to be written on a server that has users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Archive {
    /// The question.
    pub question: BoundedJson<{ 4 << 20 }>,
    /// It may write.
    pub writes: bool,
}

/// Brings an object of the bucket, or stores the content that follows as one, under the same rule as [`Archive`]. Fails with
/// 404 `M_NOT_FOUND`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassObject {
    /// Its key.
    pub object: Name,
    /// The restore that stores it; nothing to read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Name>,
}
