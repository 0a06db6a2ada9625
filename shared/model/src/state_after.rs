//! Classic sync with the state after the timeline.

use serde::{Deserialize, Serialize};

/// By which name a client of classic sync asked for the state at the end of the timeline (`use_state_after`, MSC4222).
/// It reads the answer under the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateAfter {
    /// That of the specification.
    Stable,
    /// That of the proposal.
    Unstable,
}

impl StateAfter {
    /// The field of a room that holds the state.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Stable => "state_after",
            Self::Unstable => "org.matrix.msc4222.state_after",
        }
    }
}
