//! Positions. Matrix identifiers themselves are ruma's types.

use serde::{Deserialize, Serialize};

/// Position of an event in one room's timeline: 1, 2, 3, … without gaps, given out by the room's hub.
///
/// Never compared across rooms. Stays below 2^53 because it crosses JavaScript numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoomSeq(pub u64);

impl RoomSeq {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position before this one; the start stays the start.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Position in one user's stream: grows by one with each change that any of the user's syncs could show.
///
/// Given out by the user's hub, never compared across users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamPos(pub u64);

impl StreamPos {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
