//! What a one-time store can be asked: a small object for what must be exact and does not last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tern_model::{Millis, RawJson};

use super::{
    Done, boundary,
    policy::{ObjectPolicy, object_policy},
};

boundary! {
    /// A question to a one-time store.
    OneTimeStoreCommand,
    /// A question to a one-time store and its answer.
    OneTimeStoreRequest,
    ObjectPolicy,
    object_policy,
    {
        // when there is nothing here, access
        AcquirePermit as "TakeTurn" => Permit, [Create Write];
        ReturnPermit => Done, [Own Write];
        StoreEntry as "LeaveNote" => Done, [Create Write];
        ReadEntries as "ReadNotes" => Entries, [Own Read];
        TakeEntries as "TakeNotes" => Entries, [Own Write];
        OpenProof => bool, [Create Write];
        ConfirmProof => bool, [Own Write];
        SpendProof => Option<Proof>, [Own Write];
        DropProof => Done, [Own Write];
    }
}

/// Takes a permit from the one-time store's bucket, which is filled at this rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquirePermit {
    /// Where it is tried from: an address from which it succeeded lately has a bucket of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How many at once after a pause.
    pub burst: u32,
    /// How many an hour in the long run.
    pub per_hour: u32,
}

/// The answer to [`AcquirePermit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// Nothing was left: the same would succeed after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What a [`AcquirePermit`] was for has succeeded: it does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnPermit {
    /// How many an hour in the long run.
    pub per_hour: u32,
    /// Where it was tried from, to be remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What was left in a one-time store, by name.
pub type Entries = BTreeMap<String, RawJson>;

/// Stores an entry; one of the same name is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEntry {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: RawJson,
    /// From when on it is worth nothing.
    pub until: Millis,
}

/// Reads the entries that are still worth something, and leaves them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadEntries {}

/// As [`ReadEntries`], and takes them away: of any number of takers one gets them, the others get none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeEntries {}

/// Somebody wants an address proven: `true` when a mail has to be sent, `false` when that was done for this attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenProof {
    /// The address.
    pub address: String,
    /// SHA-256 of the client's secret, in base64.
    pub secret: String,
    /// `send_attempt`.
    pub attempt: u64,
    /// SHA-256 of the token that the mail carries, in base64.
    pub token: String,
    /// When the proof ends.
    pub until: Millis,
}

/// Whoever has the mail says so. `false` for another token, and when there is nothing to prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmProof {
    /// SHA-256 of the token, in base64.
    pub token: String,
}

/// Takes a proof, which is then gone; nothing for another secret, and while it is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendProof {
    /// SHA-256 of the client's secret, in base64.
    pub secret: String,
}

/// A proven address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The address.
    pub address: String,
    /// When it was confirmed.
    pub confirmed: Millis,
}

/// The mail could not be sent: the next attempt of the same number sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropProof {}
