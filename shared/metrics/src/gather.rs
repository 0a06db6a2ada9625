//! What an isolate gathers between two frames.

use crate::{
    codec,
    series::Counter,
    snapshot::{Kind, Snapshot},
};

/// A frame with fewer requests than this waits longer, so that a frame is never much of a request's price.
pub const WORTH_REQUESTS: u64 = 64;

/// So many intervals at most.
pub const MOST_INTERVALS: u64 = 5;

/// Milliseconds between two frames, unless the operator says otherwise.
pub const INTERVAL_MS: u64 = 60_000;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Path template; empty where none matched.
    pub route: &'a str,
    /// The method.
    pub method: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// From arrival to answer, in milliseconds.
    pub total_ms: u64,
    /// What else it cost.
    pub costs: &'a [(Counter, u64)],
}

/// The requests of an isolate since its last frame.
#[derive(Debug, Default)]
pub struct Gatherer {
    snapshot: Snapshot,
    requests: u64,
    /// When the first of them was noted.
    since: u64,
    /// A frame was handed over before.
    warm: bool,
    lost: u64,
}

impl Gatherer {
    /// Notes a request that is answered at `now`.
    pub fn note(&mut self, now: u64, sample: &Sample<'_>) {
        if self.requests == 0 {
            self.since = now;
        }
        self.requests += 1;
        let class = match sample.status {
            429 => Some(Counter::Limited),
            400..=499 => Some(Counter::ClientErrors),
            500.. => Some(Counter::ServerErrors),
            _ => None,
        };
        // Whatever strangers ask for is one entry.
        let method = if sample.route.is_empty() { "" } else { sample.method };
        self.snapshot.add(Kind::Route, sample.route, method, &mut |series| {
            series.add(Counter::Requests, 1);
            series.took(sample.total_ms);
            if let Some(counter) = class {
                series.add(counter, 1);
            }
            for (counter, number) in sample.costs {
                series.add(*counter, *number);
            }
        });
    }

    /// It is time for a frame: an interval has passed and there are [`WORTH_REQUESTS`], or [`MOST_INTERVALS`] have.
    pub fn is_due(&self, now: u64, interval_ms: u64) -> bool {
        let intervals = if self.requests >= WORTH_REQUESTS { 1 } else { MOST_INTERVALS };
        let wanted = interval_ms.saturating_mul(intervals);
        self.requests > 0 && interval_ms > 0 && now.saturating_sub(self.since) >= wanted
    }

    /// The frame of an isolate in `region`. What is in it is forgotten here.
    pub fn take(&mut self, region: &str) -> Vec<u8> {
        let (cold, lost) = (u64::from(!self.warm), self.lost);
        let mut snapshot = std::mem::take(&mut self.snapshot);
        snapshot.add(Kind::Region, region, "", &mut |series| {
            series.add(Counter::Frames, 1);
            series.add(Counter::ColdStarts, cold);
            series.add(Counter::FramesLost, lost);
        });
        (self.requests, self.warm, self.lost) = (0, true, 0);
        codec::encode(&snapshot)
    }

    /// Nobody answered for a frame. It is not sent again, since it may have arrived.
    pub fn lose(&mut self) {
        self.lost += 1;
    }
}
