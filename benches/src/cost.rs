//! What one request has caused, and the table of such costs.

use std::{fmt::Write as _, future::Future};

use crate::{Cluster, cluster::Tally, counting::allocations};

/// What one request has caused. "Later" is what follows after the answer: announcing, forwarding, alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// Messages to objects before the answer.
    pub hops: u64,
    /// Messages to the storage worker before the answer.
    pub storage: u64,
    /// Rows written before the answer, as they are billed.
    pub rows: u64,
    /// Billed writes and lists of the bucket (class A) before the answer.
    pub bucket_writes: u64,
    /// Billed reads of the bucket (class B) before the answer.
    pub bucket_reads: u64,
    /// Reads of the cache before the answer.
    pub cache_reads: u64,
    /// Writes of the cache before the answer.
    pub cache_writes: u64,
    /// Requests to servers that are not ours before the answer.
    pub outbound: u64,
    /// Messages to objects after the answer.
    pub later_hops: u64,
    /// Those of them that hubs of rooms sent, one after the other: what one object has to do.
    pub later_room_hops: u64,
    /// Messages to the storage worker after the answer.
    pub later_storage: u64,
    /// Requests to servers that are not ours after the answer.
    pub later_outbound: u64,
    /// Rows written after the answer, by objects and in D1, as they are billed.
    pub later_rows: u64,
    /// Alarms that rang until there was nothing left to do.
    pub alarms: u64,
    /// Allocations in the whole cluster until the answer.
    pub allocations: u64,
    /// Allocations in the whole cluster after the answer.
    pub later_allocations: u64,
}

/// One figure of a cost.
pub struct Figure {
    /// Its name in `budgets.toml`.
    pub name: &'static str,
    /// Where it stands.
    pub of: fn(&mut Cost) -> &mut u64,
    /// It depends a little on compiler and libraries, so its budget has some play.
    pub loose: bool,
}

/// Every figure, in the order of the table.
pub const FIGURES: [Figure; 17] = [
    Figure { name: "bytes", of: |cost| &mut cost.bytes, loose: false },
    Figure { name: "hops", of: |cost| &mut cost.hops, loose: false },
    Figure { name: "storage", of: |cost| &mut cost.storage, loose: false },
    Figure { name: "rows", of: |cost| &mut cost.rows, loose: false },
    Figure { name: "bucket_writes", of: |cost| &mut cost.bucket_writes, loose: false },
    Figure { name: "bucket_reads", of: |cost| &mut cost.bucket_reads, loose: false },
    Figure { name: "cache_reads", of: |cost| &mut cost.cache_reads, loose: false },
    Figure { name: "cache_writes", of: |cost| &mut cost.cache_writes, loose: false },
    Figure { name: "outbound", of: |cost| &mut cost.outbound, loose: false },
    Figure { name: "later_hops", of: |cost| &mut cost.later_hops, loose: false },
    Figure { name: "later_room_hops", of: |cost| &mut cost.later_room_hops, loose: false },
    Figure { name: "later_storage", of: |cost| &mut cost.later_storage, loose: false },
    Figure { name: "later_outbound", of: |cost| &mut cost.later_outbound, loose: false },
    Figure { name: "later_rows", of: |cost| &mut cost.later_rows, loose: false },
    Figure { name: "alarms", of: |cost| &mut cost.alarms, loose: false },
    Figure { name: "allocations", of: |cost| &mut cost.allocations, loose: true },
    Figure { name: "later_allocations", of: |cost| &mut cost.later_allocations, loose: true },
];

impl Cost {
    /// The figures with their values.
    pub fn figures(mut self) -> impl Iterator<Item = (&'static Figure, u64)> {
        FIGURES.iter().map(move |figure| (figure, *(figure.of)(&mut self)))
    }
}

/// Runs a request on a cluster at rest, then everything that follows from it.
///
/// # Panics
/// When the cluster is not at rest: the request would be charged with the work of others.
pub fn measure<T>(cluster: &Cluster, request: impl Future<Output = T>, bytes: impl FnOnce(&T) -> u64) -> Cost {
    assert!(cluster.is_at_rest(), "what came before is done");
    let (before, started) = (cluster.tally(), allocations());
    let answer = cluster.run(request);
    let (answered, replied) = (cluster.tally(), allocations());
    cluster.quiesce();
    let (after, ended) = (cluster.tally(), allocations());
    Cost {
        bytes: bytes(&answer),
        allocations: replied - started,
        later_allocations: ended - replied,
        ..difference(before, answered, after)
    }
}

/// Runs a piece of pure work.
pub fn measure_work<T>(work: impl FnOnce() -> T, bytes: impl FnOnce(&T) -> u64) -> Cost {
    let started = allocations();
    let value = work();
    let ended = allocations();
    Cost { bytes: bytes(&value), allocations: ended - started, ..Cost::default() }
}

fn difference(before: Tally, answered: Tally, after: Tally) -> Cost {
    Cost {
        hops: answered.hops - before.hops,
        storage: answered.storage - before.storage,
        rows: answered.rows - before.rows,
        later_hops: after.hops - answered.hops,
        later_room_hops: after.room_hops - answered.room_hops,
        later_storage: after.storage - answered.storage,
        later_outbound: after.outbound - before.outbound,
        later_rows: after.rows - answered.rows,
        alarms: after.alarms - before.alarms,
        ..Cost::default()
    }
}

/// Costs as a table for people.
pub fn table<'a>(costs: impl IntoIterator<Item = (&'a str, Cost)>) -> String {
    let head = [
        "bytes",
        "hops",
        "storage",
        "rows",
        "puts",
        "gets",
        "kv r",
        "kv w",
        "asked",
        "hops",
        "by room",
        "storage",
        "rows",
        "alarms",
        "allocs",
        "allocs after",
    ];
    let widths = [9, 7, 9, 6, 6, 6, 6, 6, 7, 9, 9, 9, 7, 8, 10, 14];
    let mut text = format!("{:31}{:^62}  {:^42}\n{:31}", "", "until the answer", "after it", "workload");
    for (name, width) in head.iter().zip(widths) {
        // Writing to a string does not fail.
        let _ = write!(text, "{name:>width$}");
    }
    for (name, cost) in costs {
        let _ = write!(text, "\n{name:31}");
        for ((_, value), width) in cost.figures().zip(widths) {
            let _ = write!(text, "{value:>width$}");
        }
    }
    text.push('\n');
    text
}
