//! What is shown: text that Prometheus takes, and a page that people read.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use tern_metrics::{
    page::{STYLE, html},
    prometheus,
    series::{Counter, Series},
    snapshot::{Kind, Snapshot},
    view::{DAY_MS, Range, Trouble, View},
};

const SEND: &str = "/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}";

fn sums(routes: usize) -> Snapshot {
    let mut sums = Snapshot::default();
    for number in 0..routes {
        let name =
            if number == 0 { SEND.to_owned() } else { format!("/_matrix/client/v1/{number}/{}", "x".repeat(60)) };
        sums.add(Kind::Route, &name, "PUT", &mut |series| {
            series.add(Counter::Requests, if number < 2 { 40 } else { 20 });
            series.add(Counter::ServerErrors, 1);
            series.add(Counter::Limited, 2);
            series.add(Counter::BytesOut, 40_000);
            for ms in 0..40 {
                series.took(ms * ms);
            }
        });
    }
    sums.add(Kind::Region, "FRA", "", &mut |series| {
        series.add(Counter::Requests, 40);
        series.add(Counter::ColdStarts, 1);
        series.add(Counter::Frames, 3);
    });
    sums
}

fn view(range: Range) -> View {
    let sums = sums(60);
    let troubles = vec![Trouble { server: "evil\"<b>.example".to_owned(), since_ms: 100 * DAY_MS }];
    let points = vec![sums.total(); range.points()];
    View { range, now_ms: 103 * DAY_MS, sums, points, troubles: Some(troubles) }
}

/// Name and labels of a sample, and its value.
fn parse(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) =
        name.split_once('{').map_or((name, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
    let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (key, value) = label.split_once("=\"").unwrap();
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect(), value.parse().unwrap())
}

#[test]
fn the_text_has_a_type_for_every_name_and_its_numbers_add_up() {
    let text = prometheus::text(&sums(2), Some(3));
    let known: BTreeMap<_, BTreeSet<_>> = prometheus::names()
        .into_iter()
        .map(|(name, labels)| (name, labels.iter().map(|one| (*one).to_owned()).collect()))
        .collect();
    let (mut typed, mut seen, mut requests, mut bucket) = (BTreeSet::new(), BTreeSet::new(), 0.0, 0.0);
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# TYPE ") {
            assert!(typed.insert(line.split(' ').next().unwrap().to_owned()), "{line} comes twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, labels, value) = parse(line);
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
        assert!(typed.contains(family), "{name} has no type");
        assert_eq!(labels.keys().cloned().collect::<BTreeSet<_>>(), known[&name], "{line}");
        assert!(seen.insert((name.clone(), labels.clone())), "{line} comes twice");
        match name.as_str() {
            "tern_requests_total" => requests += value,
            "tern_request_duration_seconds_bucket" if labels["le"] == "0.001" => bucket = value,
            "tern_request_duration_seconds_bucket" => {
                assert!(value >= bucket, "buckets are cumulative: {line}");
                bucket = value;
            }
            "tern_request_duration_seconds_count" => {
                assert!((value - bucket).abs() < 0.1 && (value - 40.0).abs() < 0.1);
            }
            _ => {}
        }
    }
    assert!((requests - 80.0).abs() < 0.1, "every request has one outcome: {requests}");
    assert_eq!(seen.iter().map(|(name, _)| name).collect::<BTreeSet<_>>(), known.keys().collect());
    assert!(
        text.contains("tern_request_duration_seconds_sum{method=\"PUT\",route=\"/_matrix/client/v3/rooms/{roomId}")
    );
    assert!(text.contains("tern_failing_servers 3\n") && !prometheus::text(&sums(1), None).contains("tern_failing"));
}

#[test]
fn the_page_is_short_needs_nothing_from_elsewhere_and_believes_nobody() {
    for (lang, range) in [("en", Range::Day), ("de", Range::Week), ("fr", Range::Year), ("xx", Range::Day)] {
        let page = html(&view(range), lang, "tern.example");
        assert!(page.len() < 30_000, "{} bytes", page.len());
        for part in ["<script", "javascript:", " style=", "http://", "https://", "url(", "@import"] {
            assert!(!page.contains(part), "{part}");
        }
        assert!(
            page.contains(&format!("<style>{STYLE}</style>"))
                && page.contains("send/{eventType}")
                && page.contains("FRA")
        );
        assert!(page.contains("<title>") && page.contains("· tern.example</title>"));
        assert!(page.contains("evil&#34;&#60;b&#62;.example"), "what others are called is text");
        let lang = if lang == "xx" { "en" } else { lang };
        assert!(page.contains(&format!("<html lang=\"{lang}\">")));
        assert_eq!(page.matches("aria-current").count() - STYLE.matches("aria-current").count(), 1);
        assert_eq!((page.matches("role=\"img\"").count(), page.matches("<desc").count()), (2, 2));
        assert_eq!(page.matches("<tr><th scope=\"row\">").count(), 25 + 1 + periods(range));
    }
    let empty =
        html(&View { points: vec![Series::default(); Range::Day.points()], ..View::default() }, "en", "tern.example");
    assert!(empty.contains("No requests in this time.") && empty.contains("The database did not tell."));
}

/// Rows of the charts as numbers.
fn periods(range: Range) -> usize {
    range.points().div_ceil(range.points().div_ceil(12))
}

#[test]
fn places_of_a_chart_end_now() {
    let now = 1_000 * DAY_MS + 7;
    for range in Range::ALL {
        let last = range.points() - 1;
        let places = [now, now - range.step_ms(), now - range.span_ms() + 1, now - range.span_ms(), now + 1];
        let expected = [Some(last), Some(last - 1), Some(0), None, None];
        assert_eq!(places.map(|start| View::place(range, now, start)), expected, "{range:?}");
        assert_eq!(Range::named(range.name()), range);
    }
}

/// The colours of one scheme by their names.
fn colours(style: &str, dark: bool) -> BTreeMap<&str, &str> {
    let mut blocks = style.split(":root{").skip(1).filter_map(|block| Some(block.split_once('}')?.0));
    let (light, night) = (blocks.next().unwrap(), blocks.next().unwrap());
    let all = light.split(';').chain(night.split(';').filter(|_| dark));
    all.filter_map(|line| line.trim_start_matches("--").split_once(":#")).collect()
}

#[test]
fn the_page_has_the_colours_of_the_other_pages() {
    let pages = include_str!("../../../proxy/templates/style.css");
    for dark in [false, true] {
        let (own, theirs) = (colours(STYLE, dark), colours(pages, dark));
        for (name, colour) in own.iter().filter(|(name, _)| **name != "area") {
            assert_eq!(Some(colour), theirs.get(name), "{name}, dark: {dark}");
        }
    }
    for moving in ["animation", "transition", "@keyframes"] {
        assert!(!STYLE.contains(moving), "{moving}");
    }
}
