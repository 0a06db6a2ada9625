//! Sending a message, until the answer and until every member's hub and the storage worker have it.

use std::{cell::LazyCell, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tern_benches::corpus::{MEMBERS, Room};

fn send(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send");
    for members in MEMBERS {
        // Made when it is needed: a filter may leave it out.
        let room = LazyCell::new(|| Room::new(members));
        // What follows from a message takes longer than its answer, and is not timed here.
        group.sample_size(20).measurement_time(Duration::from_millis(200));
        group.bench_function(BenchmarkId::new("answered", members), |bencher| {
            bencher.iter_batched(|| room.rest(), |()| room.say(), BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("answered cold", members), |bencher| {
            let prepare = || {
                room.rest();
                room.cluster.evict_room(&room.room_id);
            };
            bencher.iter_batched(prepare, |()| room.say(), BatchSize::PerIteration);
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("told and stored", members), |bencher| {
            let send = || {
                room.say();
                room.cluster.settle();
            };
            bencher.iter(send);
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = send }
criterion_main!(benches);
