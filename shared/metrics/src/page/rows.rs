//! What the tables say.

use std::cmp::Reverse;

use super::format::Format;
use crate::{
    series::{Counter, Series, float},
    snapshot::{Entry, Kind, Snapshot},
    view::{Trouble, View},
};

/// Most rows of the tables of routes and of regions.
const MOST_ROUTES: usize = 25;
const MOST_REGIONS: usize = 20;

/// Rows of the charts as numbers.
const PERIODS: usize = 12;

/// One great number.
pub(super) struct Tile {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) beside: String,
    /// It is bad.
    pub(super) is_bad: bool,
}

/// A part of the time.
pub(super) struct PeriodRow {
    pub(super) ago: String,
    pub(super) requests: String,
    pub(super) failed: String,
    pub(super) durations: [String; 3],
}

/// A route.
pub(super) struct RouteRow {
    pub(super) method: String,
    /// Empty for requests that none matched.
    pub(super) path: String,
    pub(super) requests: String,
    pub(super) durations: [String; 3],
    pub(super) refused: String,
    pub(super) limited: String,
    pub(super) failed: String,
    pub(super) has_failed: bool,
    pub(super) sent: String,
    pub(super) hops: String,
}

/// A region.
pub(super) struct RegionRow {
    pub(super) name: String,
    pub(super) requests: String,
    pub(super) share: String,
    pub(super) slow: String,
    pub(super) failed: String,
    pub(super) cold_starts: String,
}

/// A server that fails.
pub(super) struct TroubleRow {
    pub(super) server: String,
    pub(super) since: String,
}

pub(super) fn tiles(format: Format, total: &Series) -> Vec<Tile> {
    let words = format.0;
    let requests = total.get(Counter::Requests);
    let failed = total.get(Counter::ServerErrors);
    let tile = |label, value, beside| Tile { label, value, beside, is_bad: false };
    let each = |text: String| format!("{text} {}", words.per_request);
    vec![
        tile(words.requests, format.number(requests), String::new()),
        tile(words.half, format.duration_if(total.quantile(50)), String::new()),
        tile(words.slow, format.duration_if(total.quantile(95)), String::new()),
        Tile { is_bad: failed > 0, ..tile(words.server_errors, format.number(failed), format.share(failed, requests)) },
        tile(words.cold_starts, format.number(total.get(Counter::ColdStarts)), String::new()),
        tile(
            words.sent,
            format.bytes(float(total.get(Counter::BytesOut))),
            each(format.bytes(total.mean(Counter::BytesOut))),
        ),
        tile(words.hops, format.number(total.get(Counter::Hops)), each(format.decimal(total.mean(Counter::Hops)))),
    ]
}

/// The quantiles in words.
pub(super) fn durations_told(format: Format, total: &Series) -> String {
    let words = format.0;
    let [half, slow, slowest] = durations(format, total);
    format!("{} {half}, {} {slow}, {} {slowest}", words.half, words.slow, words.slowest)
}

fn durations(format: Format, series: &Series) -> [String; 3] {
    [50, 95, 99].map(|percent| format.duration_if(series.quantile(percent)))
}

/// The charts as numbers, the newest first.
pub(super) fn periods(format: Format, view: &View) -> Vec<PeriodRow> {
    let size = view.points.len().div_ceil(PERIODS).max(1);
    let span_ms = view.range.step_ms().saturating_mul(size as u64);
    let row = |(number, points): (u64, &[Series])| {
        let mut sum = Series::default();
        for point in points {
            sum.merge(point);
        }
        PeriodRow {
            ago: format.span(span_ms.saturating_mul(number).min(view.range.span_ms())),
            requests: format.number(sum.get(Counter::Requests)),
            failed: format.number(sum.get(Counter::ServerErrors)),
            durations: durations(format, &sum),
        }
    };
    (1..).zip(view.points.rchunks(size)).map(row).collect()
}

/// The busiest routes, and how many there are beside them.
pub(super) fn routes(format: Format, sums: &Snapshot) -> (Vec<RouteRow>, u64) {
    let all = busiest(sums, Kind::Route);
    let further = all.len().saturating_sub(MOST_ROUTES) as u64;
    (all.into_iter().take(MOST_ROUTES).map(|entry| route(format, entry)).collect(), further)
}

fn busiest(sums: &Snapshot, kind: Kind) -> Vec<&Entry> {
    let mut all: Vec<_> = sums.of_kind(kind).collect();
    all.sort_by_key(|entry| Reverse(entry.series.get(Counter::Requests)));
    all
}

fn route(format: Format, entry: &Entry) -> RouteRow {
    let series = &entry.series;
    let number = |counter| format.number(series.get(counter));
    RouteRow {
        method: entry.method.clone(),
        path: entry.name.clone(),
        requests: number(Counter::Requests),
        durations: durations(format, series),
        refused: number(Counter::ClientErrors),
        limited: number(Counter::Limited),
        failed: number(Counter::ServerErrors),
        has_failed: series.get(Counter::ServerErrors) > 0,
        sent: format.bytes(series.mean(Counter::BytesOut)),
        hops: format.decimal(series.mean(Counter::Hops)),
    }
}

pub(super) fn regions(format: Format, sums: &Snapshot) -> Vec<RegionRow> {
    let all = busiest(sums, Kind::Region);
    let whole = all.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.series.get(Counter::Requests)));
    let row = |entry: &Entry| RegionRow {
        name: entry.name.clone(),
        requests: format.number(entry.series.get(Counter::Requests)),
        share: format.share(entry.series.get(Counter::Requests), whole),
        slow: format.duration_if(entry.series.quantile(95)),
        failed: format.number(entry.series.get(Counter::ServerErrors)),
        cold_starts: format.number(entry.series.get(Counter::ColdStarts)),
    };
    all.into_iter().take(MOST_REGIONS).map(row).collect()
}

pub(super) fn troubles(format: Format, troubles: &[Trouble], now_ms: u64) -> Vec<TroubleRow> {
    let row = |one: &Trouble| TroubleRow {
        server: one.server.clone(),
        since: format.span(now_ms.saturating_sub(one.since_ms)),
    };
    troubles.iter().map(row).collect()
}
