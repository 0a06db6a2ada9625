//! A room's events from outside the hub: the storage worker's or the room's own. Same fields as the wire's slices.

use std::collections::BTreeMap;

use ruma::OwnedRoomId;
use tern_model::{NoticeEvent, RoomSeq};

/// What is needed of a room beyond the hub's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceAsk {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Only events after this position; `None` asks for the newest ones.
    pub after: Option<RoomSeq>,
    /// Only events up to this position, and the state at it.
    pub until: Option<RoomSeq>,
    /// At most this many timeline events, the newest; may be zero.
    pub limit: u32,
    /// State as `(type, state_key)`, `*` is a wildcard in either place. With `after`, only what changed since. With `lazy`
    /// and without `after`, a wildcard key need not bring members: they are dropped here unless named.
    pub state: Vec<(String, String)>,
    /// Also the member events of these users, whether they changed or not.
    pub members: Vec<String>,
    /// Also the members who sent the timeline's events.
    pub lazy: bool,
    /// Also what the timeline's state events replaced: the state of before the timeline in their places, with `after` only
    /// what changed since.
    pub replaced: bool,
}

/// The answer to a [`SliceAsk`]: only what the user may see, in client form.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The newest position known to the one who answered.
    pub through: RoomSeq,
    /// Oldest first.
    pub timeline: Vec<NoticeEvent>,
    /// There is more between `after` (or the start of what the user may see) and the first event of the timeline.
    pub limited: bool,
    /// State asked for, as of `through`, and what was `replaced`.
    pub state: Vec<NoticeEvent>,
}

/// Slices by room.
pub type Slices = BTreeMap<OwnedRoomId, Slice>;

/// As long as an answer gets by what was loaded for it, and somewhat more: a buffer that has to grow takes up to three times
/// what it holds.
pub(crate) fn bytes(slices: &Slices) -> usize {
    let events = slices.values().flat_map(|slice| slice.timeline.iter().chain(&slice.state));
    let bytes: usize = events.map(|event| event.client.text().len() + 1).sum();
    bytes + bytes / 8
}
