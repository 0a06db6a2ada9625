//! A sliding sync with nothing to say: the most frequent request there is. Hubs leave memory after ten idle seconds, so
//! the cold one is the ordinary one.

use std::{cell::LazyCell, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tern_benches::corpus::{Account, ROOMS};

fn sync_idle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sync_idle");
    group.measurement_time(Duration::from_millis(500));
    for rooms in ROOMS {
        // Made when it is needed: a filter may leave it out.
        let account = LazyCell::new(|| Account::new(rooms));
        let first = LazyCell::new(|| account.caught_up());
        let idle = |pos: &str| account.cluster.run(account.owner.sync(&first.0, Some(pos), 0));
        group.bench_function(BenchmarkId::new("after the first answer", rooms), |bencher| {
            bencher.iter(|| idle(&first.1));
        });
        let pos = LazyCell::new(|| account.live(&first.0, &first.1));
        group.bench_function(BenchmarkId::new("warm", rooms), |bencher| bencher.iter(|| idle(&pos)));
        group.bench_function(BenchmarkId::new("cold", rooms), |bencher| {
            let sleep = || account.cluster.evict_user(&account.owner.user_id);
            bencher.iter_batched(sleep, |()| idle(&pos), BatchSize::PerIteration);
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = sync_idle }
criterion_main!(benches);
