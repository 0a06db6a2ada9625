//! `COST.md` says what the counts and prices say. `TERN_BILL=write cargo test -p tern-benches --test bill` writes it.

use std::{env, fs};

use tern_benches::{bill, budget::Budgets};

#[test]
fn the_cost_page_is_up_to_date() {
    let page = bill::page(&Budgets::load());
    if env::var("TERN_BILL").as_deref() == Ok("write") {
        fs::write(bill::path(), page).unwrap();
        return;
    }
    let written = fs::read_to_string(bill::path()).unwrap_or_default();
    assert!(page == written, "COST.md is out of date: run with TERN_BILL=write. It would be:\n{page}");
}
