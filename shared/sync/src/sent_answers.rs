//! What a connection keeps of the answers it gave.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use tern_model::{RawJson, StreamPos};

use crate::extensions::ExtensionsSentState;
use crate::lazy::Lazy;
use crate::sent::ListSentState;

/// Places for the bodies of remembered answers. They are kept beside the connection's text, for they are seldom read.
pub const BODIES: u8 = 4;

/// What the client knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SentState {
    /// Everything up to here has been looked at.
    pub(crate) at: StreamPos,
    /// Fingerprint of the request.
    pub(crate) request: u64,
    /// Fingerprint of the request's lists and subscriptions.
    pub(crate) rules: u64,
    /// Lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) lists: BTreeMap<String, ListSentState>,
    /// Rooms that could not be read in time: to be looked at again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) owed: BTreeSet<OwnedRoomId>,
    /// Extensions.
    #[serde(default)]
    pub(crate) extensions: ExtensionsSentState,
}

/// An answer that was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) request: u64,
    /// Absent when it was too long to keep: a repeated request is then answered anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<Kept>,
}

/// Where the body of an answer is kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) place: u8,
    pub(crate) length: usize,
}

/// What is to become of the body in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// It stays as it is.
    Stay,
    /// Nothing is kept there any more.
    Clear,
    /// This one is kept there from now on.
    Put(RawJson),
}

/// An answer from `pos`, and what the client knows if it got it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Variant {
    #[serde(rename = "told")]
    pub(crate) sent: Lazy<SentState>,
    pub(crate) answer: Answer,
}
