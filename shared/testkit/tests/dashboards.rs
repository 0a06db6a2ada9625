//! The dashboards' queries name the columns that the points have.

use std::collections::BTreeMap;

use serde_json::Value;
use tern_ports::meter::Point;

/// `blob1`, `blob2`, … with the name of each.
fn columns(kind: &str, names: &[&str]) -> Vec<(String, String)> {
    (1..).zip(names).map(|(place, name)| (format!("{kind}{place}"), (*name).to_owned())).collect()
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_')
}

#[test]
fn columns_are_named_as_points_write_them_and_queries_use_no_other() {
    let file: Value = serde_json::from_str(include_str!("../../../wrangler/dashboards/latency.json")).unwrap();
    let expected: BTreeMap<String, String> =
        columns("blob", &Point::BLOBS).into_iter().chain(columns("double", &Point::DOUBLES)).collect();
    let written: BTreeMap<String, String> = serde_json::from_value(file["columns"].clone()).unwrap();
    assert_eq!(written, expected);
    for query in file["queries"].as_array().unwrap() {
        let sql = query["sql"].as_str().unwrap();
        assert!(words(sql).any(|word| word == file["dataset"].as_str().unwrap()), "{sql}");
        let positional = |word: &&str| {
            let digits = word.trim_start_matches("blob").trim_start_matches("double");
            digits.len() < word.len() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let unknown: Vec<_> = words(sql).filter(positional).filter(|word| !expected.contains_key(*word)).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {sql}");
        assert!(sql.contains("_sample_interval"), "points are thinned out: {sql}");
    }
}

/// The queries of a Grafana dashboard, wherever in it they are.
fn queries(part: &Value) -> Vec<String> {
    match part {
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(queries)).collect()
        }
        Value::Array(parts) => parts.iter().flat_map(queries).collect(),
        _ => Vec::new(),
    }
}

/// Labels that a query names: before a comparison, and in what it sums by.
fn labels(query: &str) -> impl Iterator<Item = &str> {
    let compared = query.split('{').skip(1).filter_map(|rest| rest.split(['=', '!']).next());
    let groups = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    compared.chain(groups.flat_map(|names| names.split(", ")))
}

#[test]
fn grafana_asks_for_nothing_that_is_not_exported_and_shows_all_that_is() {
    let file: Value = serde_json::from_str(include_str!("../../../wrangler/dashboards/grafana.json")).unwrap();
    let known: BTreeMap<_, _> = tern_metrics::prometheus::names().into_iter().collect();
    let mut unseen: std::collections::BTreeSet<_> = known.keys().cloned().collect();
    let queries = queries(&file);
    assert!(queries.len() > 10, "{queries:?}");
    for query in &queries {
        let names: Vec<_> = words(query).filter(|word| word.starts_with("tern_")).collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let allowed = known.get(name).unwrap_or_else(|| panic!("{name} is not exported: {query}"));
            // A quotient has labels of neither side.
            let unknown: Vec<_> = labels(query).filter(|label| !allowed.contains(label)).collect();
            assert!(unknown.is_empty(), "{name} has no {unknown:?}: {query}");
            unseen.remove(name);
        }
    }
    // Sum and count are there for whoever wants a mean.
    unseen.retain(|name| !name.ends_with("_seconds_sum") && !name.ends_with("_seconds_count"));
    assert!(unseen.is_empty(), "nobody shows {unseen:?}");
}
