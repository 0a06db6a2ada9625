//! Establishing who asks: a token that this isolate has seen, and one that it has not.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tern_auth::TokenCache;
use tern_benches::{Cluster, Phone};
use tern_ports::Clock;

fn token(criterion: &mut Criterion) {
    let cluster = Cluster::default();
    let phone = Phone::sign_in(&cluster, "owner");
    let (config, token, now) = (cluster.config(), phone.token(), cluster.now());
    let mut seen = TokenCache::default();
    seen.check(config, token, now);
    seen.confirm(token, now);
    let mut group = criterion.benchmark_group("token");
    group.bench_function("warm", |bencher| bencher.iter(|| seen.check(config, black_box(token), now)));
    group.bench_function("cold", |bencher| {
        let check = |cache: &mut TokenCache| cache.check(config, black_box(token), now);
        bencher.iter_batched_ref(TokenCache::default, check, BatchSize::LargeInput);
    });
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = token }
criterion_main!(benches);
