//! Sums over some requests: counters, and how long the requests took.

/// Upper bounds of the buckets, in milliseconds; the last bucket has none. Two to an octave, so that a quantile is known up to
/// half of itself.
pub const BOUNDS: [u64; 32] = [
    1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144,
    8192, 12_288, 16_384, 24_576, 32_768, 49_152, 65_536,
];

/// Buckets of a histogram.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// What is counted. The order is that of frames and of what is kept: new ones come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Requests.
    Requests,
    /// Of them, answered with 4xx other than 429.
    ClientErrors,
    /// Of them, refused with 429.
    Limited,
    /// Of them, answered with 5xx.
    ServerErrors,
    /// Isolates that began.
    ColdStarts,
    /// Frames handed over.
    Frames,
    /// Frames whose arrival is not known, so that their requests may be missing.
    FramesLost,
    /// Milliseconds from arrival to answer; a long poll's waiting included.
    TotalMs,
    /// Milliseconds of establishing who asks.
    AuthMs,
    /// Milliseconds of waiting for Durable Objects.
    ObjectMs,
    /// Milliseconds of waiting for the storage worker.
    StorageMs,
    /// Requests to Durable Objects.
    Hops,
    /// Requests to the storage worker.
    StorageCalls,
    /// Rows written, of the requests in [`Counter::RowSamples`].
    Rows,
    /// Requests of which the rows are known: those that asked what they cost.
    RowSamples,
    /// Bytes of the requests' bodies, as far as they were announced.
    BytesIn,
    /// Bytes of the answers' bodies; content that is passed through is not counted.
    BytesOut,
}

/// Counters of a [`Series`].
pub const COUNTERS: usize = Counter::BytesOut as usize + 1;

/// Sums over some requests. All sums stop at the greatest number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub(crate) counters: [u64; COUNTERS],
    pub(crate) buckets: [u64; BUCKETS],
}

impl Default for Series {
    fn default() -> Self {
        Self { counters: [0; COUNTERS], buckets: [0; BUCKETS] }
    }
}

impl Series {
    /// One sum.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters.get(counter as usize).copied().unwrap_or_default()
    }

    /// Adds to a sum.
    pub fn add(&mut self, counter: Counter, number: u64) {
        if let Some(sum) = self.counters.get_mut(counter as usize) {
            *sum = sum.saturating_add(number);
        }
    }

    /// Notes how long a request took, in milliseconds.
    pub fn took(&mut self, ms: u64) {
        let place = BOUNDS.iter().take_while(|bound| **bound < ms).count();
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket = bucket.saturating_add(1);
        }
        self.add(Counter::TotalMs, ms);
    }

    /// Adds all sums of another.
    pub fn merge(&mut self, other: &Self) {
        let all = self.counters.iter_mut().chain(&mut self.buckets);
        for (sum, number) in all.zip(other.counters.iter().chain(&other.buckets)) {
            *sum = sum.saturating_add(*number);
        }
    }

    /// Requests that took at most so many milliseconds, which must be one of [`BOUNDS`].
    pub fn within(&self, ms: u64) -> u64 {
        let below = BOUNDS.iter().zip(&self.buckets).take_while(|(bound, _)| **bound <= ms);
        below.fold(0, |sum, (_, number)| sum.saturating_add(*number))
    }

    /// Requests whose duration is known.
    pub fn timed(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, number| sum.saturating_add(*number))
    }

    /// The duration, in milliseconds, that `percent` of the requests did not exceed: in the same bucket as the true one. At
    /// most the last of [`BOUNDS`].
    pub fn quantile(&self, percent: u8) -> Option<f64> {
        let total = u128::from(self.timed());
        let rank = (total * u128::from(percent.min(100))).div_ceil(100).max(1);
        let (mut before, mut lower) = (0_u128, 0);
        for (number, upper) in self.buckets.iter().zip(BOUNDS.iter().chain(BOUNDS.last())) {
            let number = u128::from(*number);
            if number > 0 && before + number >= rank {
                let share = float(rank - before) / float(number);
                return Some(float(lower) + float(upper - lower) * share);
            }
            (before, lower) = (before + number, *upper);
        }
        None
    }

    /// One sum for each request; nothing without requests.
    pub fn mean(&self, counter: Counter) -> f64 {
        let requests = self.get(Counter::Requests);
        if requests == 0 { 0.0 } else { float(self.get(counter)) / float(requests) }
    }
}

/// A number to calculate with. Beyond 2^53 its last digits are lost.
#[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
pub(crate) fn float(number: impl Into<u128>) -> f64 {
    number.into() as f64
}
