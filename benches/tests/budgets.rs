//! Every workload costs what `budgets.toml` says: not more, and not so much less that the file is no longer true.
//!
//! `TERN_BUDGETS=write cargo test -p tern-benches --test budgets` writes the measured costs into the file, and `COST.md` anew.

#![expect(clippy::unwrap_used, reason = "a missing workload fails the test")]

use std::{env, fs};

use tern_benches::{
    bill,
    budget::Budgets,
    corpus::ROOMS,
    cost::table,
    counting::{Counting, allocations},
    workloads::Costs,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn every_workload_costs_what_its_budget_says() {
    assert!(allocations() > 0, "allocations are counted");
    let costs = Costs::of_everything();
    an_idle_sync_costs_next_to_nothing(&costs);
    let budgets = Budgets::load();
    if env::var("TERN_BUDGETS").as_deref() == Ok("write") {
        fs::write(Budgets::path(), budgets.written(&costs.0)).unwrap();
        fs::write(bill::path(), bill::page(&Budgets::load())).unwrap();
        return;
    }
    let verdicts = budgets.verdicts(&costs.0);
    assert!(
        verdicts.is_empty(),
        "\n{}\n{:34} {:18} {:>10} {:>10}\n{}\n\nIf this is meant to be, run with TERN_BUDGETS=write and say why.\n",
        table(costs.0.iter().map(|(name, cost)| (name.as_str(), *cost))),
        "workload",
        "figure",
        "measured",
        "budget",
        verdicts.join("\n"),
    );
}

/// Whatever the file says.
fn an_idle_sync_costs_next_to_nothing(costs: &Costs) {
    for rooms in ROOMS {
        for name in ["sync_idle", "sync_idle_cold", "sync_idle_after_first"] {
            let cost = costs.get(&format!("{name}_{rooms}")).unwrap();
            assert_eq!((cost.hops, cost.storage, cost.rows), (1, 0, 0), "{name} with {rooms} rooms");
            assert_eq!((cost.later_hops, cost.later_storage, cost.later_rows), (0, 0, 0), "{name} with {rooms} rooms");
            assert!(cost.bytes <= 60, "{name} with {rooms} rooms: {} bytes", cost.bytes);
        }
    }
    for rooms in ROOMS {
        for timeline in [1, 20] {
            let cost = costs.get(&format!("sync_initial_{rooms}_timeline_{timeline}")).unwrap();
            assert_eq!((cost.hops, cost.storage), (1, 1), "one question to storage, for all rooms");
        }
        let live = costs.get(&format!("sync_live_{rooms}")).unwrap();
        assert_eq!((live.hops, live.storage), (1, 0), "a live answer is the hub's own");
    }
}

#[test]
fn the_size_gate_finds_its_ceilings() {
    let text = fs::read_to_string(Budgets::path()).unwrap();
    let (wasm, _) = text.split_once("[wasm]").unwrap().1.split_once('[').unwrap();
    for key in ["proxy_gzip", "storage_gzip"] {
        assert!(wasm.lines().any(|line| line.starts_with(key)), "{key}");
    }
}
