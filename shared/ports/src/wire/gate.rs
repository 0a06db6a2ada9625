//! What a gate can be asked: a small object for what must be exact and does not last.

use serde::{Deserialize, Serialize};

use super::boundary;

boundary! {
    /// A question to a gate.
    GateCommand,
    /// A question to a gate and its answer.
    GateRequest,
    {
        TakeTurn => Turn,
    }
}

/// Takes one from the gate's bucket, which is filled at this rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeTurn {
    /// How many at once after a pause.
    pub burst: u32,
    /// How many an hour in the long run.
    pub per_hour: u32,
}

/// The answer to [`TakeTurn`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Nothing was left: the same would succeed after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
