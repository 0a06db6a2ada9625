//! What is answered, and how an answer of classic sync is read.

use std::collections::BTreeMap;

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use tern_model::{MatrixError, RawJson};

use super::placed;

/// A room in a snapshot (`RoomInfo`).
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The user's membership.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<String>,
    /// The event that invites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<RawJson>,
    /// The newest messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Timeline>,
    /// The state after them.
    pub state: Vec<RawJson>,
    /// `public` when the room is in the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<&'static str>,
    /// The user's account data of the room.
    pub account_data: Vec<RawJson>,
}

impl Snapshot {
    /// A room of which nothing is said.
    pub(super) const fn of(room_id: OwnedRoomId) -> Self {
        Self {
            room_id,
            membership: None,
            invite: None,
            messages: None,
            state: Vec::new(),
            visibility: None,
            account_data: Vec::new(),
        }
    }
}

/// A page of messages.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// The token before the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The token after the last.
    pub end: String,
    /// Oldest first.
    pub chunk: Vec<RawJson>,
}

/// An answer of classic sync.
#[derive(Deserialize)]
pub(super) struct Synced {
    pub(super) next_batch: String,
    #[serde(default)]
    pub(super) rooms: Rooms,
    #[serde(default)]
    pub(super) presence: List,
    #[serde(default)]
    pub(super) account_data: List,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Rooms {
    pub(super) join: BTreeMap<OwnedRoomId, Room>,
    pub(super) leave: BTreeMap<OwnedRoomId, Room>,
    invite: BTreeMap<OwnedRoomId, RawJson>,
}

impl Rooms {
    pub(super) fn invited(&self) -> impl Iterator<Item = &OwnedRoomId> {
        self.invite.keys()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Room {
    pub(super) timeline: Page,
    /// Before the timeline, or after it: whichever was asked for.
    #[serde(alias = "state_after")]
    pub(super) state: List,
    pub(super) account_data: List,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    pub(super) events: Vec<RawJson>,
    pub(super) prev_batch: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct List {
    pub(super) events: Vec<RawJson>,
}

impl Synced {
    pub(super) fn read(body: &RawJson) -> Result<Self, MatrixError> {
        body.read().map_err(|_| MatrixError::internal())
    }
}

/// The events, with the room they are in.
pub(super) fn all_placed(events: &[RawJson], room_id: &OwnedRoomId) -> Result<Vec<RawJson>, MatrixError> {
    events.iter().map(|event| placed(event, room_id.as_str())).collect()
}
