//! Charts as paths of an SVG: what is drawn, without colours and words.

use std::fmt::Write;

use crate::series::{Counter, Series, float};

/// Height of a chart, in its own units; each point is [`STEP`] wide.
pub(crate) const HEIGHT: u32 = 100;
pub(crate) const STEP: usize = 10;

/// The least value of a chart of durations, in milliseconds, and the least that its top may be.
const LEAST_MS: f64 = 1.0;
const LEAST_TOP_MS: f64 = 64.0;

/// Bars: requests, and before them those that failed.
pub(crate) struct Bars {
    /// What the whole height stands for.
    pub(crate) top: u64,
    pub(crate) all: String,
    pub(crate) failed: String,
}

impl Bars {
    pub(crate) fn of(points: &[Series]) -> Self {
        let requests = |point: &Series| point.get(Counter::Requests);
        let failed = |point: &Series| point.get(Counter::ServerErrors);
        let top = rounded_up(points.iter().map(requests).max().unwrap_or_default());
        Self { top, all: bars(points, top, requests), failed: bars(points, top, failed) }
    }
}

fn bars(points: &[Series], top: u64, value: impl Fn(&Series) -> u64) -> String {
    let mut path = String::new();
    for (place, point) in points.iter().enumerate() {
        let value = value(point);
        if value > 0 {
            // What is there is seen.
            let height = (float(value) / float(top) * f64::from(HEIGHT)).round().max(1.0);
            let _written = write!(path, "M{} {HEIGHT}v-{height}h8v{height}z", place * STEP + 1);
        }
    }
    path
}

/// One, two or five with noughts behind: the least that is not less, and not less than four.
fn rounded_up(most: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            let top = unit.saturating_mul(factor);
            if (top >= most && top >= 4) || top == u64::MAX {
                return top;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Lines on a logarithmic scale: durations of three quantiles.
pub(crate) struct Lines {
    /// What the top stands for, in milliseconds.
    pub(crate) top: f64,
    /// What the middle stands for.
    pub(crate) middle: f64,
    pub(crate) half: String,
    pub(crate) slow: String,
    pub(crate) slowest: String,
}

impl Lines {
    pub(crate) fn of(points: &[Series]) -> Self {
        let most = points.iter().filter_map(|point| point.quantile(99)).fold(LEAST_TOP_MS, f64::max);
        let top = most.log2().ceil().exp2();
        let line = |percent| line(points, top, percent);
        Self { top, middle: (top * LEAST_MS).sqrt(), half: line(50), slow: line(95), slowest: line(99) }
    }
}

/// A line with gaps where there were no requests. A point alone is a dot.
fn line(points: &[Series], top: f64, percent: u8) -> String {
    let (mut path, mut down) = (String::new(), false);
    for (place, point) in points.iter().enumerate() {
        let Some(ms) = point.quantile(percent) else {
            down = false;
            continue;
        };
        let share = (ms.max(LEAST_MS) / LEAST_MS).ln() / (top / LEAST_MS).ln();
        let (x, y) = (place * STEP + STEP / 2, (f64::from(HEIGHT) * (1.0 - share.clamp(0.0, 1.0))).round());
        let _written = if down { write!(path, "L{x} {y}") } else { write!(path, "M{x} {y}h0") };
        down = true;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{Bars, Lines, rounded_up};
    use crate::series::{Counter, Series};

    fn point(requests: u64, failed: u64, ms: u64) -> Series {
        let mut series = Series::default();
        series.add(Counter::Requests, requests);
        series.add(Counter::ServerErrors, failed);
        for _ in 0..requests {
            series.took(ms);
        }
        series
    }

    #[test]
    fn bars_reach_up_to_a_round_number_and_nothing_that_failed_is_too_small_to_be_seen() {
        let bars = Bars::of(&[point(0, 0, 0), point(1_000, 1, 5), point(2_000, 0, 5)]);
        assert_eq!(bars.top, 2_000);
        assert_eq!(bars.all, "M11 100v-50h8v50zM21 100v-100h8v100z");
        assert_eq!(bars.failed, "M11 100v-1h8v1z");
        assert_eq!([0, 4, 6, 11, u64::MAX].map(rounded_up), [5, 5, 10, 20, u64::MAX]);
    }

    #[test]
    fn lines_have_gaps_where_nothing_was_asked_and_stay_within_the_picture() {
        let lines = Lines::of(&[point(1, 0, 3), point(0, 0, 0), point(1, 0, 64), point(1, 0, 1 << 40)]);
        assert_eq!(lines.half.matches('M').count(), 2);
        assert!(lines.half.starts_with("M5 ") && lines.half.contains("L35 0"), "{}", lines.half);
        assert!((lines.top - 65_536.0).abs() < 1.0 && (lines.middle - 256.0).abs() < 1.0);
    }
}
