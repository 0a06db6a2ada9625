//! What a pusher is sent next, and when (Push Gateway API). Nothing is queued: pending is whatever notified after the
//! pusher's place and is unread still.
//!
//! While all goes well each event is sent, in order. After a failure, and when much has gathered, only the newest of each
//! room is: an outage ends with one notification per room, not with a storm.

use std::collections::BTreeMap;

use ruma::OwnedRoomId;
use tern_model::{Millis, RoomSeq, StreamPos};

/// Where an event stands among those of all rooms: those that came together are of one room.
pub type Place = (StreamPos, RoomSeq);

/// Pauses after failures in a row, in milliseconds: the first, and how it grows up to the last.
const FIRST_PAUSE_MS: u64 = 5_000;
const GROWTH: u64 = 3;
const LAST_PAUSE_MS: u64 = 3_600_000;
/// After silence the gateway may have delivered, or still be at it: the pause at least, in milliseconds.
const SILENCE_PAUSE_MS: u64 = 60_000;
/// The longest pause that a gateway may ask for, in milliseconds.
const LONGEST_ASKED_MS: u64 = 3_600_000;
/// So long after the first failure a gateway is asked once a day only.
const GIVEN_UP_AFTER_MS: u64 = 7 * DAY_MS;
const DAY_MS: u64 = 24 * 3_600_000;
/// More than this at once is sent as after an outage.
const MANY: usize = 30;
/// Rooms of which something is sent after an outage: those with the newest events.
const MOST_ROOMS: usize = 20;

/// An event that notified and is unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its place.
    pub place: Place,
    /// It highlights.
    pub highlight: bool,
    /// When it was sent.
    pub ts: Millis,
}

/// How far a pusher is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Up to here nothing is to be sent any more.
    pub at: Place,
    /// Its gateway failed, and what gathered since has not all been sent.
    pub outage: Option<Outage>,
}

/// A gateway that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When it failed first.
    pub since: Millis,
    /// Failures in a row.
    pub failures: u32,
    /// Not before then.
    pub next_at: Millis,
    /// What gathered came after this place.
    pub from: Place,
}

/// An event to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The event.
    pub place: Place,
    /// Its highlighting.
    pub highlight: bool,
    /// With it all up to here is done.
    pub through: Place,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing is pending.
    Nothing,
    /// Nothing until then.
    At(Millis),
    /// Send this.
    Send(Choice),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway took it, or there was nothing to be sent after all.
    Delivered,
    /// The gateway will never take this event.
    Refused,
    /// The gateway failed, and perhaps said when to come back, in milliseconds from now.
    Failed(Option<u64>),
    /// No answer came in time.
    Silent,
}

impl Progress {
    /// A pusher of which everything up to `at` is done.
    pub const fn after_all(at: StreamPos) -> Self {
        // Positions are numbers that SQLite holds.
        Self { at: (at, RoomSeq((1 << 53) - 1)), outage: None }
    }

    /// What is pending came after this place.
    pub fn from(&self) -> Place {
        self.outage.map_or(self.at, |outage| outage.from)
    }

    /// What follows from what became of `choice`. `spread` is drawn from all numbers, so that those who failed together do
    /// not come back together.
    #[must_use]
    pub fn after(self, choice: &Choice, outcome: Outcome, now: Millis, spread: u16) -> Self {
        let pause = match outcome {
            Outcome::Delivered | Outcome::Refused => {
                let outage = self.outage.map(|outage| Outage { failures: 0, next_at: now, ..outage });
                return Self { at: choice.through, outage };
            }
            Outcome::Failed(asked) => asked.unwrap_or(0).min(LONGEST_ASKED_MS),
            Outcome::Silent => SILENCE_PAUSE_MS,
        };
        let before = self.outage.unwrap_or(Outage { since: now, failures: 0, next_at: now, from: self.at });
        let failures = before.failures.saturating_add(1);
        let grown = if now.since(before.since) > GIVEN_UP_AFTER_MS { DAY_MS } else { backed_off(failures) };
        let next_at = now.plus(spread_out(grown, spread).max(pause));
        Self { at: self.at, outage: Some(Outage { failures, next_at, ..before }) }
    }
}

fn backed_off(failures: u32) -> u64 {
    let grown = GROWTH.saturating_pow(failures.saturating_sub(1).min(16));
    FIRST_PAUSE_MS.saturating_mul(grown).min(LAST_PAUSE_MS)
}

/// A pause that is up to a fifth shorter or longer.
fn spread_out(pause: u64, spread: u16) -> u64 {
    pause * 4 / 5 + pause * 2 / 5 * u64::from(spread) / u64::from(u16::MAX)
}

/// What a pusher is sent now. `pending` came after [`Progress::from`], in order.
pub fn next(progress: &Progress, pending: &[Pending], now: Millis) -> Next {
    let is_new = |pending: &&Pending| pending.place > progress.at;
    let after_outage = progress.outage.is_some();
    // Of an outage that lasted what is a day old is news to nobody.
    let fresh = |pending: &&Pending| !after_outage || now.since(pending.ts) < DAY_MS;
    let pending: Vec<&Pending> = pending.iter().filter(fresh).collect();
    let Some(first) = pending.iter().find(|pending| is_new(pending)) else { return Next::Nothing };
    if let Some(outage) = progress.outage.filter(|outage| outage.next_at > now) {
        return Next::At(outage.next_at);
    }
    if after_outage || pending.len() > MANY {
        return coalesced(progress, &pending).map_or(Next::Nothing, Next::Send);
    }
    Next::Send(choice(first, first.place))
}

/// Of each room the newest event, or the newest that highlights; the rooms in the order of their newest events.
fn coalesced(progress: &Progress, pending: &[&Pending]) -> Option<Choice> {
    let mut rooms: BTreeMap<&OwnedRoomId, Choice> = BTreeMap::new();
    for event in pending {
        let chosen = rooms.entry(&event.room_id).or_insert_with(|| choice(event, event.place));
        if event.highlight || !chosen.highlight {
            (chosen.place, chosen.highlight) = (event.place, event.highlight);
        }
        chosen.through = event.place;
    }
    let mut left: Vec<Choice> = rooms.into_values().filter(|choice| choice.through > progress.at).collect();
    left.sort_by_key(|choice| choice.through);
    let first = left.len().saturating_sub(MOST_ROOMS);
    left.into_iter().nth(first)
}

fn choice(pending: &Pending, through: Place) -> Choice {
    Choice { room_id: pending.room_id.clone(), place: pending.place, highlight: pending.highlight, through }
}
