//! The file of budgets: what is met, what is not, and how it is written.

use tern_benches::{Cost, budget::Budgets};

const FILE: &str = "[wasm]\nproxy_gzip = 5\n\n[workloads]\nsend = { bytes = 57, hops = 1, allocations = 100 }\n";

fn verdicts(cost: Cost) -> Vec<String> {
    Budgets::parse(FILE).verdicts(&[("send".to_owned(), cost)])
}

#[test]
fn what_is_counted_has_no_play_and_allocations_have_some() {
    let honest = Cost { bytes: 57, hops: 1, allocations: 90, ..Cost::default() };
    assert!(verdicts(honest).is_empty());
    assert!(verdicts(Cost { hops: 2, ..honest })[0].ends_with("over the budget"));
    assert!(verdicts(Cost { bytes: 56, ..honest })[0].contains("below"));
    assert!(verdicts(Cost { allocations: 101, ..honest })[0].contains("over"));
    assert!(verdicts(Cost { allocations: 79, ..honest })[0].contains("far below"));
    assert!(verdicts(Cost { later_rows: 1, ..honest })[0].contains("later_rows"));
}

#[test]
fn nothing_is_without_budget_and_no_budget_without_use() {
    let other = [("typing".to_owned(), Cost::default())];
    assert_eq!(Budgets::parse(FILE).verdicts(&other).len(), 2);
}

#[test]
fn what_is_written_is_met_and_the_rest_of_the_file_stays() {
    let cost = |allocations| Cost { bytes: 45, hops: 1, allocations, ..Cost::default() };
    let costs = [("sync".to_owned(), cost(333)), ("frame".to_owned(), cost(1)), ("key".to_owned(), cost(3))];
    let text = Budgets::parse(FILE).written(&costs);
    assert!(text.starts_with("[wasm]\nproxy_gzip = 5\n\n[workloads]\nsync = { bytes = 45,"));
    assert!(Budgets::parse(&text).verdicts(&costs).is_empty());
}
