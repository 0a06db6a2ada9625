//! What goes wrong in a simulated cluster, and how often.

use std::collections::BTreeSet;

use tern_ports::Target;

/// Chances of faults. All zero by default: nothing goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Of 100 requests, so many never arrive.
    pub lost_requests: usize,
    /// Of 100 requests that were carried out, the answers of so many never arrive.
    pub lost_replies: usize,
    /// Of 100 requests, so many are carried out twice.
    pub repeated: usize,
    /// Of 10,000 steps of the executor, before so many an object crashes: memory and what is not yet durable are lost.
    pub crashes: usize,
    /// Of 10,000 steps, before so many an object with nothing to do is evicted from memory; waiting sockets stay.
    pub evictions: usize,
    /// A message takes up to so many milliseconds.
    pub latency_ms: usize,
    /// The storage worker's databases fail.
    pub storage_outage: bool,
    /// These parts cannot be reached.
    pub unreachable: BTreeSet<Target>,
    /// These parts are asked and do not answer, for hours.
    pub stuck: BTreeSet<Target>,
}

impl Faults {
    /// A bad day: everything goes wrong now and then.
    pub fn bad_day() -> Self {
        Self {
            lost_requests: 4,
            lost_replies: 4,
            repeated: 4,
            crashes: 40,
            evictions: 60,
            latency_ms: 40,
            ..Self::default()
        }
    }
}
