//! The order in which events of other servers are taken in: each after those of them that it refers to. Depth, which
//! senders make up, only parts what is not otherwise in order.

use std::collections::{BTreeSet, HashMap};

use ruma::EventId;
use tern_model::Pdu;

/// The events, each once, sorted topologically by `prev_events` and `auth_events`. Events in a circle, which only rooms
/// with made-up ids can have, come last.
#[must_use]
pub fn topological(events: Vec<Pdu>) -> Vec<Pdu> {
    let mut events = events;
    events.sort_by(|one, other| rank(one).cmp(&rank(other)));
    events.dedup_by(|one, other| one.id() == other.id());
    let order = places(&events);
    order.into_iter().filter_map(|place| events.get(place).cloned()).collect()
}

fn rank(pdu: &Pdu) -> (u64, &EventId) {
    (pdu.depth(), pdu.id())
}

/// Kahn's algorithm; `events` are sorted by rank, so the lowest place goes first.
fn places(events: &[Pdu]) -> Vec<usize> {
    let at: HashMap<&EventId, usize> = events.iter().enumerate().map(|(place, pdu)| (pdu.id(), place)).collect();
    let referred = |pdu: &Pdu| -> BTreeSet<usize> {
        pdu.prev().iter().chain(pdu.auth()).filter_map(|event_id| at.get(&**event_id).copied()).collect()
    };
    let mut waits: Vec<BTreeSet<usize>> = events.iter().map(referred).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    for (place, referred) in waits.iter().enumerate() {
        for other in referred {
            followers.get_mut(*other).into_iter().for_each(|followers| followers.push(place));
        }
    }
    let mut ready: BTreeSet<usize> =
        waits.iter().enumerate().filter(|(_, waits)| waits.is_empty()).map(|(place, _)| place).collect();
    let mut order = Vec::with_capacity(events.len());
    while let Some(place) = ready.pop_first() {
        order.push(place);
        for follower in followers.get_mut(place).map(std::mem::take).unwrap_or_default() {
            let Some(waits) = waits.get_mut(follower) else { continue };
            waits.remove(&place);
            if waits.is_empty() {
                ready.insert(follower);
            }
        }
    }
    let placed: BTreeSet<usize> = order.iter().copied().collect();
    order.extend((0..events.len()).filter(|place| !placed.contains(place)));
    order
}
