//! A sliding sync that tells of one message, which the hub has taken in before.

use std::{
    cell::{LazyCell, RefCell},
    time::Duration,
};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tern_benches::corpus::{Account, ROOMS};

fn sync_live(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sync_live");
    group.measurement_time(Duration::from_millis(500));
    for rooms in ROOMS {
        // Made when it is needed: a filter may leave it out.
        let account = LazyCell::new(|| Account::new(rooms));
        let first = LazyCell::new(|| account.caught_up());
        let newest = LazyCell::new(|| RefCell::new(account.live(&first.0, &first.1)));
        let ask = |()| {
            let at = newest.borrow().clone();
            let answer = account.cluster.run(account.owner.sync(&first.0, Some(&at), 0));
            newest.replace(answer.pos());
        };
        group.bench_function(BenchmarkId::new("warm", rooms), |bencher| {
            bencher.iter_batched(|| account.write(), ask, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("cold", rooms), |bencher| {
            let prepare = || {
                account.write();
                account.cluster.evict_user(&account.owner.user_id);
            };
            bencher.iter_batched(prepare, ask, BatchSize::PerIteration);
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = sync_live }
criterion_main!(benches);
