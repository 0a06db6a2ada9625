//! What a client still wants of a room it is told of.

use tern_model::RoomSeq;

use crate::conn::Connection;
use crate::list::Matched;
use crate::sent::RoomSentState;
use crate::state::StateNeed;
use crate::view::RoomView;

/// What is wanted of a room.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    /// The client has the timeline up to here; `None` when it has nothing of the room.
    pub(crate) after: Option<RoomSeq>,
    /// Most timeline events.
    pub(crate) limit: u32,
    /// The newest `limit` events are wanted although some of them have been sent.
    pub(crate) expand: bool,
    /// State wanted.
    pub(crate) need: StateNeed,
    /// State wanted whether it changed or not, as pairs.
    pub(crate) beyond: Vec<(String, String)>,
    /// This user's member event is wanted in any case.
    pub(crate) own: bool,
    /// State as of the start of the timeline, not as of its end.
    pub(crate) at_start: bool,
    /// Where members are lazy: their changes are told even where they lie in a gap.
    pub(crate) every_change: bool,
}

/// What to collect of a room the user is or was in; `None` when the client has it all.
pub(crate) fn wanted(
    conn: &Connection,
    room: &RoomView,
    matched: &Matched,
    sent: Option<&RoomSentState>,
) -> Option<Want> {
    let config = &matched.config;
    let need = config.state.clone();
    let Some(sent) = sent else {
        return Some(Want {
            after: None,
            limit: config.limit,
            expand: false,
            need,
            beyond: Vec::new(),
            own: room.is_gone(),
            at_start: false,
            every_change: false,
        });
    };
    let before = conn.need(sent.need);
    let beyond = match before {
        Some(before) if *before == need => Vec::new(),
        Some(before) => need.pairs_beyond(before),
        None => need.pairs(),
    };
    let expand = config.limit > sent.held && !sent.complete;
    let moved = room.changed > sent.at;
    (moved || expand || !beyond.is_empty()).then(|| Want {
        after: Some(sent.seq),
        limit: config.limit,
        expand,
        need,
        beyond,
        own: !sent.was(room.membership),
        at_start: false,
        every_change: false,
    })
}
