//! Places in rooms, and what a user's hub keeps beside them.

use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};
use tern_model::{RawJson, RoomSeq, StreamPos};

use super::user::SessionRef;

/// Where a room was at positions of the user's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindPlaces {
    /// The session that asks.
    pub session: SessionRef,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The positions, two at most.
    pub at: Vec<StreamPos>,
}

/// A place in a room: after the event at `earliest`. The hub does not know more than that it is not after the one at
/// `latest`, where that is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Everything up to here had been told.
    pub earliest: RoomSeq,
    /// Nothing beyond had been told; `None` when the hub knows nothing of the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<RoomSeq>,
}

/// What the user's hub keeps of rooms beside their events; in the order asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBeside {
    /// The session that asks.
    pub session: SessionRef,
    /// The rooms.
    pub rooms: Vec<OwnedRoomId>,
}

/// What stands beside one room. Nothing of a room that the user was never in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// The user's membership.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<String>,
    /// The event that says so, in client form without `room_id`, if the hub still has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<RawJson>,
    /// The room's account data: `{"type":…,"content":…}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub account_data: Vec<RawJson>,
}

/// The room of an event that the storage worker may not have yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindRecent {
    /// The session that asks.
    pub session: SessionRef,
    /// The event.
    pub event_id: OwnedEventId,
}

/// The room of a stored event. Whether somebody may see it is for the room to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocateEvent {
    /// The event.
    pub event_id: OwnedEventId,
}
