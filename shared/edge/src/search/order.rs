//! The order of results.

use ruma::OwnedEventId;
use serde::{Deserialize, Serialize};
use tern_model::Millis;
use tern_ports::wire::search::MatchedEvent;

/// In which order results come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Rank,
    Recent,
}

/// Where an event stands in an order: greater ones come first.
pub(super) type Place = (u32, Millis, OwnedEventId);

impl Order {
    pub(super) fn place(self, event: &MatchedEvent) -> Place {
        let score = if self == Self::Rank { event.score } else { 0 };
        (score, event.ts, event.event_id.clone())
    }
}
