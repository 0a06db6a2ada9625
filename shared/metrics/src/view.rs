//! The time that somebody looks at.

use crate::{series::Series, snapshot::Snapshot};

/// Milliseconds of a minute, an hour, a day.
pub const MINUTE_MS: u64 = 60_000;
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// How far back somebody looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// 24 hours.
    #[default]
    Day,
    /// 7 days.
    Week,
    /// 365 days.
    Year,
}

impl Range {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Year];

    /// As it is called in an address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Year => "year",
        }
    }

    /// The range of this name; the shortest for any other.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|range| range.name() == name).unwrap_or_default()
    }

    /// All of it, in milliseconds.
    pub const fn span_ms(self) -> u64 {
        match self {
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Year => 365 * DAY_MS,
        }
    }

    /// What one point of a chart stands for, in milliseconds.
    pub const fn step_ms(self) -> u64 {
        match self {
            Self::Day => 15 * MINUTE_MS,
            Self::Week => 2 * HOUR_MS,
            Self::Year => 5 * DAY_MS,
        }
    }

    /// Points of a chart.
    pub fn points(self) -> usize {
        usize::try_from(self.span_ms() / self.step_ms()).unwrap_or(1)
    }
}

/// Another server that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its name.
    pub server: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// How far back.
    pub range: Range,
    /// When it was looked at, in milliseconds since 1970.
    pub now_ms: u64,
    /// The sums over all of the time.
    pub sums: Snapshot,
    /// The sums over all routes in each of [`Range::points`] steps, the oldest first; the last one ends now.
    pub points: Vec<Series>,
    /// Other servers that fail; nothing where that is not known.
    pub troubles: Option<Vec<Trouble>>,
}

impl View {
    /// The place among [`View::points`] of what began at `start_ms`.
    pub fn place(range: Range, now_ms: u64, start_ms: u64) -> Option<usize> {
        let ago = now_ms.checked_sub(start_ms)? / range.step_ms();
        range.points().checked_sub(1 + usize::try_from(ago).ok()?)
    }
}
