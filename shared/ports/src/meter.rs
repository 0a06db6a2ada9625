//! What a request cost: told to whoever asks for it, and noted once per request for dashboards.

use std::{
    fmt::{self, Write},
    ops::{Add, Sub},
};

/// Carries what is asked of the object that keeps sums of points (`tern_storage::metrics`), beside a body.
pub const METRICS_HEADER: &str = "x-tern-metrics";

/// What was spent in other parts of the server. Times are milliseconds of waiting for them, added up where they were
/// waited for side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Waiting for Durable Objects.
    pub object_ms: u64,
    /// Waiting for the storage worker. What an object waited for is part of `object_ms`, too.
    pub storage_ms: u64,
    /// Requests to Durable Objects.
    pub hops: u64,
    /// Requests to the storage worker.
    pub storage_calls: u64,
    /// Rows written in the objects asked. Known only where the cost was asked for.
    pub rows: u64,
}

impl Spent {
    /// The text in which an object tells what it spent itself.
    pub fn text(self) -> String {
        format!("{} {} {} {}", self.storage_ms, self.hops, self.storage_calls, self.rows)
    }

    /// Reads [`Self::text`]; nothing when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let (storage_ms, hops, storage_calls, rows) = (next()?, next()?, next()?, next()?);
        // Other objects were waited for inside, so that time is known already.
        Some(Self { object_ms: 0, storage_ms, hops, storage_calls, rows })
    }

    fn each(self, other: Self, both: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            object_ms: both(self.object_ms, other.object_ms),
            storage_ms: both(self.storage_ms, other.storage_ms),
            hops: both(self.hops, other.hops),
            storage_calls: both(self.storage_calls, other.storage_calls),
            rows: both(self.rows, other.rows),
        }
    }
}

impl Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }
}

/// One request, as the public worker saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The route's path template; empty when none matched. Never the path itself, which names rooms and people.
    pub route: &'static str,
    /// The method.
    pub method: String,
    /// The status of the answer.
    pub status: u16,
    /// From its arrival to its answer, in milliseconds; a long poll's waiting included.
    pub total_ms: u64,
    /// Of that, establishing who asks.
    pub auth_ms: u64,
    /// What it spent elsewhere.
    pub spent: Spent,
    /// Bytes of the answer's body; zero for content that is passed through.
    pub bytes: u64,
    /// The request asked what it costs, so that the rows are known.
    pub asked: bool,
}

impl Point {
    /// Names of [`Self::blobs`], in order.
    pub const BLOBS: [&'static str; 3] = ["route", "method", "status"];
    /// Names of [`Self::doubles`], in order.
    pub const DOUBLES: [&'static str; 7] =
        ["total_ms", "auth_ms", "object_ms", "storage_ms", "hops", "storage_calls", "bytes"];

    /// The point's texts.
    pub fn blobs(&self) -> [String; 3] {
        [self.route.to_owned(), self.method.clone(), self.status.to_string()]
    }

    /// The point's numbers.
    #[expect(clippy::cast_precision_loss, reason = "they stay below 2^53")]
    pub fn doubles(&self) -> [f64; 7] {
        let Spent { object_ms, storage_ms, hops, storage_calls, .. } = self.spent;
        [self.total_ms, self.auth_ms, object_ms, storage_ms, hops, storage_calls, self.bytes].map(|value| value as f64)
    }

    /// The value of a `Server-Timing` header (W3C Server Timing): durations, and counts as descriptions.
    pub fn server_timing(&self) -> String {
        let Spent { object_ms, storage_ms, hops, storage_calls, rows } = self.spent;
        let mut text = String::with_capacity(120);
        let durations =
            [("auth", self.auth_ms), ("object", object_ms), ("storage", storage_ms), ("total", self.total_ms)];
        let _written: fmt::Result = durations.iter().try_for_each(|(name, ms)| write!(text, "{name};dur={ms}, "));
        let counts = format!("hops;desc={hops}, storage-calls;desc={storage_calls}, rows;desc={rows}");
        text + &counts
    }
}

/// Where points go.
pub trait Meter {
    /// Notes one request. Never waits and never fails: a lost point is no loss to the client.
    fn record(&self, point: &Point);
}

#[cfg(test)]
mod tests {
    use super::{Point, Spent};

    const SPENT: Spent = Spent { object_ms: 4, storage_ms: 3, hops: 1, storage_calls: 2, rows: 5 };

    #[test]
    fn what_an_object_spent_is_read_as_it_was_written_without_its_own_waiting() {
        assert_eq!(Spent::parse(&SPENT.text()), Some(Spent { object_ms: 0, ..SPENT }));
        for text in ["", "1 2 3", "1 2 3 x", "-1 2 3 4"] {
            assert_eq!(Spent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_spent_between_two_looks_is_their_difference() {
        let later = SPENT + SPENT;
        assert_eq!(later - SPENT, SPENT);
        assert_eq!(SPENT - later, Spent::default());
    }

    #[test]
    fn a_point_has_a_name_for_every_column_and_reads_as_server_timing() {
        let point = Point { total_ms: 9, auth_ms: 1, spent: SPENT, status: 200, bytes: 48, ..Point::default() };
        assert_eq!(format!("{:?}", point.doubles()), "[9.0, 1.0, 4.0, 3.0, 1.0, 2.0, 48.0]");
        assert_eq!(point.blobs()[2], "200");
        let expected = "auth;dur=1, object;dur=4, storage;dur=3, total;dur=9, \
                        hops;desc=1, storage-calls;desc=2, rows;desc=5";
        assert_eq!(point.server_timing(), expected);
    }
}
