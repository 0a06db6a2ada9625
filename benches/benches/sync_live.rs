//! A sliding sync that tells of one message, which the hub has taken in before.

use std::{cell::RefCell, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tern_benches::corpus::{Account, ROOMS};

fn sync_live(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sync_live");
    for rooms in ROOMS {
        let account = Account::new(rooms);
        let (request, pos) = account.caught_up();
        let pos = RefCell::new(pos);
        // The position of the answer before, which is not the business of the next.
        let acknowledge = || {
            account.write();
            let pos = pos.borrow().clone();
            (pos, account.cluster.clone())
        };
        let ask = |(at, cluster): (String, tern_benches::Cluster)| {
            let answer = cluster.run(account.owner.sync(&request, Some(&at), 0));
            pos.replace(answer.pos());
            answer
        };
        group.measurement_time(Duration::from_millis(500));
        group.bench_function(BenchmarkId::new("warm", rooms), |bencher| {
            bencher.iter_batched(acknowledge, ask, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("cold", rooms), |bencher| {
            let prepare = || {
                let prepared = acknowledge();
                account.cluster.evict_user(&account.owner.user_id);
                prepared
            };
            bencher.iter_batched(prepare, ask, BatchSize::PerIteration);
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = sync_live }
criterion_main!(benches);
