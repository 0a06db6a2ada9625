//! Sums as Prometheus reads them: text format 0.0.4. All are counters since the server's beginning.

use std::fmt::{self, Write};

use crate::{
    series::{BOUNDS, Counter, Series, float},
    snapshot::{Entry, Kind, Snapshot},
};

/// The type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which of [`BOUNDS`] are told: the powers of two.
fn bounds() -> impl Iterator<Item = u64> {
    BOUNDS.into_iter().filter(|bound| bound.is_power_of_two())
}

/// A counter with its name, what it is, and by how much its numbers are greater than Prometheus wants them.
struct Exported {
    name: &'static str,
    help: &'static str,
    counter: Counter,
    unit: f64,
}

const fn exported(name: &'static str, help: &'static str, counter: Counter, unit: f64) -> Exported {
    Exported { name, help, counter, unit }
}

/// Milliseconds of a second: durations are told in seconds.
const MS: f64 = 1000.0;

/// By method and route.
const BY_ROUTE: [Exported; 9] = [
    exported("tern_auth_seconds_total", "Time to establish who asks.", Counter::AuthMs, MS),
    exported("tern_object_seconds_total", "Time waited for Durable Objects.", Counter::ObjectMs, MS),
    exported("tern_storage_seconds_total", "Time waited for the storage worker.", Counter::StorageMs, MS),
    exported("tern_object_requests_total", "Requests to Durable Objects.", Counter::Hops, 1.0),
    exported("tern_storage_requests_total", "Requests to the storage worker.", Counter::StorageCalls, 1.0),
    exported("tern_rows_written_total", "Rows written by requests that asked for it.", Counter::Rows, 1.0),
    exported("tern_rows_asked_total", "Requests that asked what they cost.", Counter::RowSamples, 1.0),
    exported("tern_request_bytes_total", "Bytes of bodies received, as announced.", Counter::BytesIn, 1.0),
    exported("tern_response_bytes_total", "Bytes of bodies sent, media excepted.", Counter::BytesOut, 1.0),
];

/// By region.
const BY_REGION: [Exported; 4] = [
    exported("tern_region_requests_total", "Requests by place of arrival.", Counter::Requests, 1.0),
    exported("tern_cold_starts_total", "Isolates that began.", Counter::ColdStarts, 1.0),
    exported("tern_metrics_frames_total", "Frames of metrics that arrived.", Counter::Frames, 1.0),
    exported("tern_metrics_frames_lost_total", "Frames whose arrival is not known.", Counter::FramesLost, 1.0),
];

const REQUESTS: &str = "tern_requests_total";
const DURATION: &str = "tern_request_duration_seconds";
const FAILING: &str = "tern_failing_servers";

/// The text. `failing` is how many other servers fail, where that is known.
pub fn text(sums: &Snapshot, failing: Option<usize>) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _written: fmt::Result = write_all(&mut text, sums, failing);
    text
}

fn write_all(text: &mut String, sums: &Snapshot, failing: Option<usize>) -> fmt::Result {
    let routes: Vec<_> = sums.of_kind(Kind::Route).map(|entry| (route_labels(entry), &entry.series)).collect();
    let regions: Vec<_> = sums.of_kind(Kind::Region).map(|entry| (region_labels(entry), &entry.series)).collect();
    head(text, REQUESTS, "Requests by outcome.", "counter")?;
    for (labels, series) in &routes {
        outcomes(text, labels, series)?;
    }
    head(text, DURATION, "From arrival to answer; a long poll's waiting included.", "histogram")?;
    for (labels, series) in &routes {
        histogram(text, labels, series)?;
    }
    for (all, entries) in [(&BY_ROUTE[..], &routes), (&BY_REGION[..], &regions)] {
        for Exported { name, help, counter, unit } in all {
            head(text, name, help, "counter")?;
            for (labels, series) in entries {
                writeln!(text, "{name}{{{labels}}} {}", float(series.get(*counter)) / unit)?;
            }
        }
    }
    let Some(failing) = failing else { return Ok(()) };
    head(text, FAILING, "Other servers that fail again and again, at most 50.", "gauge")?;
    writeln!(text, "{FAILING} {failing}")
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Every request has one outcome.
fn outcomes(text: &mut String, labels: &str, series: &Series) -> fmt::Result {
    let errors = [
        ("client_error", Counter::ClientErrors),
        ("limited", Counter::Limited),
        ("server_error", Counter::ServerErrors),
    ];
    let mut good = series.get(Counter::Requests);
    for (outcome, counter) in errors {
        let number = series.get(counter);
        good = good.saturating_sub(number);
        writeln!(text, "{REQUESTS}{{{labels},outcome=\"{outcome}\"}} {number}")?;
    }
    writeln!(text, "{REQUESTS}{{{labels},outcome=\"ok\"}} {good}")
}

fn histogram(text: &mut String, labels: &str, series: &Series) -> fmt::Result {
    for bound in bounds() {
        let (seconds, number) = (float(bound) / MS, series.within(bound));
        writeln!(text, "{DURATION}_bucket{{{labels},le=\"{seconds}\"}} {number}")?;
    }
    let all = series.timed();
    writeln!(text, "{DURATION}_bucket{{{labels},le=\"+Inf\"}} {all}")?;
    writeln!(text, "{DURATION}_sum{{{labels}}} {}", float(series.get(Counter::TotalMs)) / MS)?;
    writeln!(text, "{DURATION}_count{{{labels}}} {all}")
}

fn route_labels(entry: &Entry) -> String {
    format!("method=\"{}\",route=\"{}\"", escaped(&entry.method), escaped(&entry.name))
}

fn region_labels(entry: &Entry) -> String {
    format!("region=\"{}\"", escaped(&entry.name))
}

/// A label's value. Names have no line feed.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Every name that the text may have, with its labels.
pub fn names() -> Vec<(String, &'static [&'static str])> {
    let (route, region): (&[&str], &[&str]) = (&["method", "route"], &["region"]);
    let histogram = ["_bucket", "_sum", "_count"].map(|part| format!("{DURATION}{part}"));
    let [bucket, sum, count] = histogram;
    let mut names = vec![
        (REQUESTS.to_owned(), &["method", "route", "outcome"][..]),
        (bucket, &["method", "route", "le"]),
        (sum, route),
        (count, route),
        (FAILING.to_owned(), &[]),
    ];
    names.extend(BY_ROUTE.iter().map(|one| (one.name.to_owned(), route)));
    names.extend(BY_REGION.iter().map(|one| (one.name.to_owned(), region)));
    names
}
