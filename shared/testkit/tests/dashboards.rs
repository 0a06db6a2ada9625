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
