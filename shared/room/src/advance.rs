//! The room's present after an accepted event: its forward extremities, and what their states resolve to.
//!
//! At most [`MOST_EXTREMITIES`] are kept. The specification sets no bound; it lets an event name twenty (room version 1,
//! "Event format"), and Synapse names the ten newest. Each costs a state in memory whenever the room is resolved, so a
//! server that answers one event a thousand times must not make a thousand of them. Which are kept:
//!
//! - always the newest event, and the oldest extremity: by it everything from before the split is cited, what was made
//!   here included, so that servers which were away find it;
//! - of the others first those after which the state is like no other's, then the newest.
//!
//! Nothing of the state is lost with an extremity: what the room had with it goes on being resolved along with the
//! states of those kept ([`Extremities::former`]), until these come to the same by themselves.

use std::{collections::HashSet, rc::Rc};

use ruma::{EventId, OwnedEventId};
use tern_model::Pdu;

use crate::{
    error::Unreadable,
    history::{History, StateDelta, same},
    resolve::resolve,
};

/// Most forward extremities that a room keeps.
pub const MOST_EXTREMITIES: usize = 10;

/// What the present state is the resolution of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extremities {
    /// The forward extremities, in the order in which they came: at most [`MOST_EXTREMITIES`].
    pub events: Vec<OwnedEventId>,
    /// How the state that the room had when some were given up differs from the present.
    pub former: Option<Rc<StateDelta>>,
}

/// What the room goes on resolving besides the states after its extremities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// Nothing.
    Nothing,
    /// What it did before.
    Kept,
    /// The state that it has after the event.
    Present,
}

/// The room's present after an event.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The forward extremities, in the order in which they came.
    pub extremities: Vec<OwnedEventId>,
    /// What is resolved besides.
    pub former: Former,
    /// How the state that all this resolves to differs from the present before.
    pub changes: Rc<StateDelta>,
}

/// The present after an accepted event, which `history` knows already, and the state after which is `after`.
///
/// # Errors
/// When a state cannot be read.
pub fn advance(
    history: &impl History,
    before: &Extremities,
    pdu: &Pdu,
    after: &Rc<StateDelta>,
) -> Result<Advance, Unreadable> {
    let mut extremities = not_cited(history, &before.events, pdu)?;
    let states: Result<Vec<_>, _> = extremities.iter().map(|id| known_state(history, id)).collect();
    let mut states = states?;
    extremities.push(pdu.id().to_owned());
    states.push(Rc::clone(after));
    let all: Vec<_> = states.iter().chain(&before.former).map(Rc::clone).collect();
    let changes = resolve(history, &all)?;
    let given_up = give_up(&mut extremities, &mut states);
    let former = match (&before.former, given_up) {
        (None, false) => Former::Nothing,
        _ if resolve(history, &states)? == changes => Former::Nothing,
        (_, true) => Former::Present,
        (_, false) => Former::Kept,
    };
    Ok(Advance { extremities, former, changes })
}

/// The extremities that an event does not refer to, neither itself nor through what is no part of the room.
fn not_cited(history: &impl History, before: &[OwnedEventId], pdu: &Pdu) -> Result<Vec<OwnedEventId>, Unreadable> {
    let mut extremities = before.to_vec();
    let mut cited: Vec<OwnedEventId> = pdu.prev().to_vec();
    let mut seen: HashSet<OwnedEventId> = cited.iter().cloned().collect();
    while let Some(previous) = cited.pop() {
        let index = extremities.iter().position(|id| *id == previous);
        if let Some(index) = index {
            extremities.remove(index);
        } else if !history.is_accepted(&previous)? {
            // What was soft-failed or rejected left the events before it standing; now they are built on through it.
            let event = history.event(&previous)?;
            cited.extend(event.iter().flat_map(Pdu::prev).filter(|id| seen.insert((*id).clone())).cloned());
        }
    }
    Ok(extremities)
}

fn known_state(history: &impl History, event_id: &EventId) -> Result<Rc<StateDelta>, Unreadable> {
    history.state_after(event_id)?.ok_or_else(|| Unreadable(format!("the state after {event_id} is not known")))
}

/// Removes extremities and their states until there are not too many; true when a state went that no other has.
fn give_up(extremities: &mut Vec<OwnedEventId>, states: &mut Vec<Rc<StateDelta>>) -> bool {
    let mut lost = false;
    while extremities.len() > MOST_EXTREMITIES {
        let newest = extremities.len() - 1;
        let like_another = (1..newest).find(|index| {
            let others = states.iter().enumerate().filter(|(other, _)| other != index);
            states.get(*index).is_some_and(|state| others.into_iter().any(|(_, other)| same(state, other)))
        });
        lost |= like_another.is_none();
        let index = like_another.unwrap_or(1);
        extremities.remove(index);
        states.remove(index);
    }
    lost
}
