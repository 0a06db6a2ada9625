//! A slice of a room for a sync answer: asked of the storage worker for many rooms at once, or of one room's hub.

use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use tern_model::{RoomSeq, RoomSummary, StoredEvent};

/// What a sync needs of one room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAsk {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who will see it; the facts for history visibility are of this user.
    pub user_id: OwnedUserId,
    /// Only events after this position; `None` asks for the newest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RoomSeq>,
    /// Only events up to this position, for somebody who left; state is then the state at this position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<RoomSeq>,
    /// At most this many timeline events, the newest.
    pub limit: u32,
    /// State asked for, as `(type, state_key)`; `*` is a wildcard in either place. With `after`, only state that changed
    /// since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<(String, String)>,
    /// Also the members who sent the timeline's events (`$LAZY`).
    #[serde(default)]
    pub lazy: bool,
    /// Also the member events of these users, whether they changed or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Also what the timeline's state events replaced: the state of before the timeline in their places, with `after` only
    /// what changed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

/// The answer to a [`SyncAsk`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncRoom {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The newest position known to the one who answers; zero when the room is unknown there.
    pub through: RoomSeq,
    /// Oldest first, without gaps. What did not become state, having lost to another event, has no `state_key` here.
    pub timeline: Vec<StoredEvent>,
    /// There is more between `after` (or the start) and the first event of the timeline.
    pub limited: bool,
    /// State asked for, and what was `replaced`. The positions are those at which events became state: by state resolution, that is later than they
    /// came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<StoredEvent>,
    /// For deciding which events the user may see.
    #[serde(default)]
    pub facts: VisibilityFacts,
    /// Present when a hub answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<RoomSummary>,
    /// The storage worker has more of all rooms than fits into one answer, and nothing of this one is in it: to be asked for
    /// again, with fewer others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

/// What decides whether a user may see an event (Client-Server API, "Room history visibility"): how visibility and the
/// user's own membership changed along the timeline. Each list is in order of position; a value holds from its position
/// on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisibilityFacts {
    /// `history_visibility` values.
    #[serde(default)]
    pub history: Vec<(RoomSeq, String)>,
    /// `membership` values of the user.
    #[serde(default)]
    pub membership: Vec<(RoomSeq, String)>,
}
