//! Sums merge in any order, lose nothing, and say how long requests took with a bounded error; bytes that are none are
//! refused.

use proptest::prelude::*;
use tern_metrics::{
    codec::{CodecError, MOST_BYTES, decode, decode_series, encode, encode_series},
    gather::{Gatherer, MOST_INTERVALS, Sample, WORTH_REQUESTS},
    series::{BOUNDS, Counter, Series},
    snapshot::{Kind, MOST_ENTRIES, OTHER, Snapshot},
};

fn series(durations: &[u64]) -> Series {
    let mut series = Series::default();
    for ms in durations {
        series.add(Counter::Requests, 1);
        series.took(*ms);
    }
    series
}

/// Of some routes and regions, a number of requests that took so long.
fn snapshots() -> impl Strategy<Value = Snapshot> {
    let entry = (any::<bool>(), "[A-D]{1,2}", "[GP]", prop::collection::vec(0_u64..100_000, 0..5));
    prop::collection::vec(entry, 0..12).prop_map(|entries| {
        let mut snapshot = Snapshot::default();
        for (region, name, method, durations) in entries {
            let (kind, method) = if region { (Kind::Region, "") } else { (Kind::Route, method.as_str()) };
            snapshot.add(kind, &name, method, &mut |sums| sums.merge(&series(&durations)));
        }
        snapshot
    })
}

fn merged(one: &Snapshot, other: &Snapshot) -> Snapshot {
    let mut sums = one.clone();
    sums.merge(other);
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn merging_is_the_same_in_any_order(one in snapshots(), two in snapshots(), three in snapshots()) {
        prop_assert_eq!(merged(&merged(&one, &two), &three), merged(&one, &merged(&two, &three)));
        prop_assert_eq!(merged(&one, &two), merged(&two, &one));
        prop_assert_eq!(merged(&one, &Snapshot::default()), one);
    }

    #[test]
    fn a_quantile_is_in_the_bucket_of_the_true_one(
        mut durations in prop::collection::vec(0_u64..60_000, 1..200), percent in 1_u8..=100,
    ) {
        let found = series(&durations).quantile(percent).unwrap_or(-1.0);
        durations.sort_unstable();
        let rank = (durations.len() * usize::from(percent)).div_ceil(100).max(1);
        let exact = durations.get(rank - 1).and_then(|ms| u32::try_from(*ms).ok()).map_or(-9.0, f64::from);
        prop_assert!(found >= exact / 1.5 - 1.0 && found <= exact * 1.5 + 1.0, "{} for {}", found, exact);
    }

    #[test]
    fn what_is_written_is_read_and_anything_else_is_refused(sums in snapshots(), place in any::<prop::sample::Index>(), noise in any::<Vec<u8>>()) {
        let bytes = encode(&sums);
        prop_assert_eq!(decode(&bytes), Ok(sums.clone()));
        prop_assert!(decode(bytes.get(..place.index(bytes.len())).unwrap_or_default()).is_err(), "broken off");
        prop_assert_eq!(decode(&[bytes, vec![0]].concat()), Err(CodecError::Malformed));
        prop_assert_eq!(decode_series(&encode_series(&sums.total())), Ok(sums.total()));
        // Whatever comes: no panic, and no more than there may be.
        if let Ok(read) = decode(&noise) {
            prop_assert!(read.entries().len() <= MOST_ENTRIES + 2);
        }
    }
}

#[test]
fn hostile_frames_are_refused_without_making_room_for_them() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let cases: [(&[u8], CodecError); 9] = [
        (&[], CodecError::Malformed),
        (&[2, 0], CodecError::Version),
        (&huge, CodecError::Version),
        (&[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2], CodecError::Malformed),
        (&[1, 0xff, 0xff, 3], CodecError::TooLarge),
        // A name that is too long; one with a line feed, which would be a line of its own in the text.
        (&[1, 1, 0, 0xff, 3], CodecError::TooLarge),
        (&[1, 1, 0, 1, b'\n', 0, 0, 0], CodecError::Malformed),
        // A kind and a bucket that there are not.
        (&[1, 1, 2, 0, 0, 0, 0], CodecError::Malformed),
        (&[1, 1, 0, 0, 0, 0, 1, 33, 1], CodecError::Malformed),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(bytes), Err(error), "{bytes:?}");
    }
    assert_eq!(decode(&vec![1; MOST_BYTES + 1]), Err(CodecError::TooLarge));
    // A newer build counts more, an older one less.
    let newer = [&[1, 1, 1, 1, b'F', 0, 20][..], &[7; 20], &[0]].concat();
    assert_eq!(decode(&newer).unwrap().entries()[0].series.get(Counter::BytesOut), 7);
    assert_eq!(decode(&[1, 1, 1, 1, b'F', 0, 1, 9, 0]).unwrap().entries()[0].series.get(Counter::Requests), 9);
}

#[test]
fn the_greatest_sums_stop_and_what_has_no_room_is_still_counted() {
    let mut series = series(&[1]);
    series.add(Counter::Requests, u64::MAX);
    let again = series.clone();
    series.merge(&again);
    assert_eq!(series.get(Counter::Requests), u64::MAX);

    let mut sums = Snapshot::default();
    for number in 0..=MOST_ENTRIES + 5 {
        let name = format!("{number:0>200}");
        sums.add(Kind::Route, &name, "OPTIONS", &mut |sums| {
            sums.merge(&Series::default());
            for bound in BOUNDS {
                sums.took(bound);
            }
            sums.add(Counter::Requests, 1 << 60);
        });
    }
    assert_eq!(sums.entries().len(), MOST_ENTRIES + 1);
    assert!(sums.entries().iter().any(|entry| entry.name == OTHER && entry.method.is_empty()));
    // Even so, it fits into a frame and into a row.
    let bytes = encode(&sums);
    assert!(bytes.len() <= MOST_BYTES, "{}", bytes.len());
    assert_eq!(decode(&bytes), Ok(sums));
}

#[test]
fn an_isolate_hands_over_once_a_minute_and_seldom_where_it_has_little_to_say() {
    let sample = Sample {
        route: "/_matrix/client/versions",
        method: "GET",
        status: 200,
        total_ms: 3,
        costs: &[(Counter::Hops, 2)],
    };
    let (mut gatherer, minute) = (Gatherer::default(), 60_000);
    gatherer.note(1_000, &sample);
    gatherer.note(1_500, &Sample { status: 503, ..sample });
    assert!(!gatherer.is_due(1_000 + minute, minute), "two requests can wait");
    assert!(gatherer.is_due(1_000 + MOST_INTERVALS * minute, minute) && !gatherer.is_due(u64::MAX, 0), "off is off");
    for (status, route) in [(429, ""), (404, "")].into_iter().cycle().take(usize::try_from(WORTH_REQUESTS).unwrap()) {
        gatherer.note(2_000, &Sample { status, route, method: "BREW", ..sample });
    }
    assert!(gatherer.is_due(1_000 + minute, minute) && !gatherer.is_due(999 + minute, minute));

    let first = decode(&gatherer.take("FRA")).unwrap().with_region_summed();
    assert!(!gatherer.is_due(u64::MAX, minute), "nothing is told twice");
    let names: Vec<_> = first.entries().iter().map(|entry| (entry.method.as_str(), entry.name.as_str())).collect();
    assert_eq!(names, [("", ""), ("GET", "/_matrix/client/versions"), ("", "FRA")]);
    let (total, region) = (first.total(), &first.entries()[2].series);
    let counted = [
        Counter::Requests,
        Counter::Limited,
        Counter::ClientErrors,
        Counter::ServerErrors,
        Counter::Hops,
        Counter::TotalMs,
    ];
    let requests = WORTH_REQUESTS + 2;
    assert_eq!(
        counted.map(|counter| total.get(counter)),
        [requests, WORTH_REQUESTS / 2, WORTH_REQUESTS / 2, 1, 2 * requests, 3 * requests]
    );
    assert_eq!(
        counted.map(|counter| region.get(counter)),
        counted.map(|counter| total.get(counter)),
        "the region is their sum"
    );
    assert_eq!([Counter::ColdStarts, Counter::Frames].map(|counter| total.get(counter)), [1, 1]);

    gatherer.lose();
    gatherer.note(3_000, &sample);
    let second = decode(&gatherer.take("FRA")).unwrap().total();
    assert_eq!([Counter::ColdStarts, Counter::FramesLost].map(|counter| second.get(counter)), [0, 1]);
}

#[test]
fn polls_wait_and_say_nothing_of_how_long_the_server_takes() {
    let mut sums = Snapshot::default();
    sums.add(Kind::Route, "/_matrix/client/v3/sync", "GET", &mut |sums| sums.merge(&series(&[30_000; 9])));
    sums.add(Kind::Route, "/_matrix/client/versions", "GET", &mut |sums| sums.merge(&series(&[4])));
    let total = sums.total();
    assert_eq!((total.get(Counter::Requests), total.timed()), (10, 1));
    assert!(total.quantile(99).unwrap() <= 4.0);
    assert_eq!(Series::default().quantile(50), None);
}
