//! How many bytes the current state of a room may have.
//!
//! Every answer that holds a room's whole state is as large as that, so it has to fit the memory of an isolate several
//! times. What a member event needs for a profile does not count: how many members there are is bounded by who comes.

use ruma::events::StateEventType;
use tern_model::{MatrixError, Pdu};

use crate::build::MAX_EVENT_BYTES;

/// The most that the events of the current state may weigh together, in bytes: 4 MiB.
pub const MAX_STATE_BYTES: u64 = 4 << 20;

/// Bytes of a member event that do not count.
const FREE_MEMBER_BYTES: u64 = 2_048;

/// What closes a room, or says who may do what in it: goes even when the state is full. Each has one state key.
const ALWAYS: &[StateEventType] = &[
    StateEventType::RoomPowerLevels,
    StateEventType::RoomJoinRules,
    StateEventType::RoomServerAcl,
    StateEventType::RoomTombstone,
];

/// The room's state has no place for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The state of a room may have {MAX_STATE_BYTES} bytes, and this event would make it larger")]
pub struct StateTooLarge;

impl From<StateTooLarge> for MatrixError {
    /// 413 `M_TOO_LARGE`.
    fn from(error: StateTooLarge) -> Self {
        Self::too_large(error.to_string())
    }
}

/// What an event of type `kind` with so many bytes weighs while it is part of the current state.
pub fn weight(kind: &str, bytes: usize) -> u64 {
    let bytes = bytes as u64;
    if kind == "m.room.member" { bytes.saturating_sub(FREE_MEMBER_BYTES) } else { bytes }
}

/// [`weight`] of a PDU.
pub fn weight_of(pdu: &Pdu) -> u64 {
    weight(&pdu.kind().to_string(), pdu.raw().text().len())
}

/// So many changes fit in any case, whatever they are: no event is longer than 64 KiB.
pub const fn surely_fits(held: u64, changes: usize) -> bool {
    held.saturating_add((changes as u64).saturating_mul(MAX_EVENT_BYTES as u64)) <= MAX_STATE_BYTES
}

/// A place of the state, with the event that is there and the one that comes to be.
pub type Change = (Option<Pdu>, Option<Pdu>);

/// Whether a state that weighs `held` may change this way. What makes it no heavier always may, and so may what closes a
/// room. Leaving and bans, with a reason of reasonable length, weigh nothing.
///
/// # Errors
/// When the state would be above [`MAX_STATE_BYTES`].
pub fn check(held: u64, changes: &[Change]) -> Result<(), StateTooLarge> {
    let sum = |pick: fn(&Change) -> Option<&Pdu>| changes.iter().filter_map(pick).map(weight_of).sum::<u64>();
    let (before, after) = (sum(|(before, _)| before.as_ref()), sum(|(_, after)| after.as_ref()));
    let fits = after <= before || held.saturating_sub(before).saturating_add(after) <= MAX_STATE_BYTES;
    let always = || changes.iter().filter_map(|(_, after)| after.as_ref()).all(always_goes);
    if fits || always() { Ok(()) } else { Err(StateTooLarge) }
}

/// Its place is one of the few that a full state does not close, or it weighs nothing.
fn always_goes(pdu: &Pdu) -> bool {
    weight_of(pdu) == 0 || pdu.key() == Some("") && ALWAYS.contains(&StateEventType::from(pdu.kind().to_string()))
}
