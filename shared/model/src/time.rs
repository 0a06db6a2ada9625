//! Time as a value. Only the `Clock` port reads it.

use serde::{Deserialize, Serialize};

/// The clocks of two hubs differ by less, in milliseconds.
pub const CLOCK_SKEW_MS: u64 = 5_000;

/// Milliseconds since the Unix epoch, as `origin_server_ts` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This instant plus `ms` milliseconds.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant, zero when it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
