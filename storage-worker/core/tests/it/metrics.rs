//! What requests cost is kept once, in bounded rows, however long the server runs.

use tern_metrics::{
    gather::{Gatherer, Sample, WORTH_REQUESTS},
    series::Counter,
    view::{DAY_MS, HOUR_MS, MINUTE_MS, Range},
};
use tern_model::Millis;
use tern_ports::Sql;
use tern_storage::metrics::{Reply, Slots, answer};
use tern_testkit::Sqlite;

/// A Monday, at midnight.
const START: u64 = 20_000 * DAY_MS;

/// A frame of so many requests.
fn frame(requests: u64) -> Vec<u8> {
    let mut gatherer = Gatherer::default();
    for number in 0..requests {
        let route = ["/_matrix/client/versions", "/_matrix/client/v3/sync"][usize::try_from(number % 2).unwrap()];
        gatherer.note(0, &Sample { route, method: "GET", status: 200, total_ms: 5, costs: &[(Counter::Hops, 1)] });
    }
    gatherer.take("FRA")
}

fn record(sql: &Sqlite, at: u64, requests: u64) {
    assert_eq!(answer(sql, Millis(at), "record", &frame(requests)), Reply { status: 204, ..Reply::default() });
}

fn ever(sql: &Sqlite) -> u64 {
    Slots::open(sql).unwrap().ever().unwrap().total().get(Counter::Requests)
}

fn shown(sql: &Sqlite, at: u64, range: Range) -> (u64, u64) {
    let view = Slots::open(sql).unwrap().view(Millis(at), range).unwrap();
    let points = view.points.iter().map(|point| point.get(Counter::Requests)).sum();
    (view.sums.total().get(Counter::Requests), points)
}

#[test]
fn a_frame_is_one_row_and_an_hour_three_more() {
    let sql = Sqlite::memory();
    record(&sql, START, 1);
    let before = sql.rows_written();
    for minute in 1..60 {
        record(&sql, START + minute * MINUTE_MS, 60);
        record(&sql, START + minute * MINUTE_MS + 20, 60);
    }
    assert_eq!(sql.rows_written() - before, 2 * 59);
    let before = sql.rows_written();
    record(&sql, START + HOUR_MS, 60);
    assert_eq!(sql.rows_written() - before, 1 + 3);
    assert_eq!(ever(&sql), 1 + 59 * 120 + 60, "nothing is counted twice or forgotten when an hour is over");
}

/// What a million requests cost, in dollars: a request to an object and a row for each frame, and the rows of the hours
/// (Durable Objects: $0.15 a million requests, $1.00 a million rows written, $12.50 a million GB-s).
#[test]
fn a_million_requests_cost_at_most_two_cents() {
    let frames = 1_000_000.0 / f64::from(u32::try_from(WORTH_REQUESTS).unwrap());
    // A frame takes a few milliseconds of an object of 128 MB. The hours, with an isolate that is busy all the time.
    let (requests, rows, seconds) = (frames, frames * (1.0 + 3.0 / 60.0), frames * 0.01);
    let dollars = (requests * 0.15 + rows + seconds * 0.128 * 12.5) / 1_000_000.0;
    assert!(dollars <= 0.02, "{dollars}");
}

#[test]
fn a_day_a_week_and_a_year_add_up_and_old_slots_are_written_over() {
    let sql = Sqlite::memory();
    // More than a year, three times a day, with a pause of a month.
    let days: Vec<_> = (0..500).filter(|day| !(100..130).contains(day)).collect();
    for day in &days {
        for hour in [0, 7, 23] {
            record(&sql, START + day * DAY_MS + hour * HOUR_MS + 30 * MINUTE_MS, 2);
        }
    }
    let now = START + 499 * DAY_MS + 23 * HOUR_MS + 31 * MINUTE_MS;
    assert_eq!(ever(&sql), days.len() as u64 * 6);
    assert_eq!(shown(&sql, now, Range::Day), (6, 6));
    assert_eq!(shown(&sql, now, Range::Week), (7 * 6, 7 * 6));
    let (sums, points) = shown(&sql, now, Range::Year);
    assert!((364 * 6..=365 * 6).contains(&sums), "{sums}");
    assert_eq!(sums, points);
    let rows = sql.query("SELECT count(*) FROM slots", &[]).unwrap()[0].int(0).unwrap();
    assert!(rows <= 1_440 + 366 * 24 + 366 + 1, "{rows}");
    let later = now + 400 * DAY_MS;
    assert_eq!(shown(&sql, later, Range::Year), (0, 0), "what is old is not shown");
    assert_eq!(ever(&sql), days.len() as u64 * 6, "but counted");
}

#[test]
fn minutes_that_waited_for_long_come_where_they_belong_and_a_clock_that_goes_back_counts_on() {
    let sql = Sqlite::memory();
    record(&sql, START + 59 * MINUTE_MS, 2);
    record(&sql, START + 3 * HOUR_MS, 2);
    // The same minute of a day, eight days later.
    record(&sql, START + 8 * DAY_MS + 59 * MINUTE_MS, 2);
    record(&sql, START + 2 * HOUR_MS, 2);
    assert_eq!(ever(&sql), 8);
    let now = START + 8 * DAY_MS + 2 * HOUR_MS;
    assert_eq!(shown(&sql, now, Range::Week).0, 4, "what came with the wrong time is taken for new");
    assert_eq!(shown(&sql, START + 4 * HOUR_MS, Range::Week).0, 8, "hours before are where they were");
}

#[test]
fn what_is_no_frame_changes_nothing_and_what_is_no_question_is_refused() {
    let sql = Sqlite::memory();
    record(&sql, START, 2);
    let before = sql.rows_written();
    for body in [&b""[..], b"\x01\x01\x02", b"{}", &vec![1; (1 << 20) + 1]] {
        assert_eq!(answer(&sql, Millis(START), "record", body).status, 400);
    }
    for line in ["", "page", "page en", "page en day", "drop"] {
        assert_eq!(answer(&sql, Millis(START), line, b"").status, 400, "{line}");
    }
    assert_eq!((sql.rows_written(), ever(&sql)), (before, 2));
}

#[test]
fn both_faces_tell_of_the_requests_and_of_servers_that_fail() {
    let sql = Sqlite::memory();
    record(&sql, START, 4);
    let failing = br#"[{"server":"away.example","since":5}]"#;
    let text = answer(&sql, Millis(START + 1), "text", failing);
    assert_eq!((text.status, text.content_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let ok = "tern_requests_total{method=\"GET\",route=\"/_matrix/client/v3/sync\",outcome=\"ok\"} 2\n";
    assert!(text.body.contains(ok) && text.body.contains("tern_failing_servers 1\n"), "{}", text.body);
    assert!(text.body.contains("tern_cold_starts_total{region=\"FRA\"} 1\n"));
    let page = answer(&sql, Millis(START + 1), "page de week tern.example", failing);
    assert!(page.status == 200 && page.body.contains("away.example") && page.body.contains("<html lang=\"de\">"));
    let policy = page.policy.unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("style-src 'sha256-") && !policy.contains("unsafe")
    );
    let page = answer(&sql, Millis(START + 1), "page en day tern.example", b"");
    assert!(page.body.contains("The database did not tell."));
}
