//! The rules over graphs of events: an initial state of 500 events, and two forks of 100.

use criterion::{Criterion, criterion_group, criterion_main};
use tern_benches::{
    Cluster,
    graph::{Forks, InitialState},
};

fn rules(criterion: &mut Criterion) {
    let cluster = Cluster::default();
    let mut group = criterion.benchmark_group("rules");
    let forks = Forks::new(cluster.config(), 100);
    group.bench_function("resolve_2_forks_100", |bencher| bencher.iter(|| forks.resolve()));
    let state = InitialState::new(cluster.config(), 500);
    group.bench_function("initial_state_500", |bencher| bencher.iter(|| state.build()));
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = rules }
criterion_main!(benches);
