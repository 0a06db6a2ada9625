//! A connection's first sliding sync: a window of twenty rooms.

use std::cell::LazyCell;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tern_benches::corpus::{Account, ROOMS, WINDOW};

fn sync_initial(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sync_initial");
    for rooms in ROOMS {
        // Made when it is needed: a filter may leave it out.
        let account = LazyCell::new(|| Account::new(rooms));
        for timeline in [1, 20] {
            let name = BenchmarkId::new(format!("timeline of {timeline}"), rooms);
            group.bench_function(name, |bencher| bencher.iter(|| account.first_sync(WINDOW, timeline)));
        }
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = sync_initial }
criterion_main!(benches);
