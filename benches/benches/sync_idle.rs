//! A sliding sync with nothing to say: the most frequent request there is. Hubs leave memory after ten idle seconds, so
//! the cold one is the ordinary one.

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tern_benches::corpus::{Account, ROOMS};

fn sync_idle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sync_idle");
    for rooms in ROOMS {
        let account = Account::new(rooms);
        let (request, pos) = account.caught_up();
        let ask = || account.cluster.run(account.owner.sync(&request, Some(&pos), 0));
        group.bench_function(BenchmarkId::new("warm", rooms), |bencher| bencher.iter(ask));
        group.measurement_time(Duration::from_millis(500));
        group.bench_function(BenchmarkId::new("cold", rooms), |bencher| {
            let sleep = || account.cluster.evict_user(&account.owner.user_id);
            bencher.iter_batched(sleep, |()| ask(), BatchSize::PerIteration);
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = sync_idle }
criterion_main!(benches);
