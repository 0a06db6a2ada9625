//! Typing and receipts, until the answer and until every member's hub has been told.

use std::{
    cell::{Cell, LazyCell},
    time::Duration,
};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ruma::OwnedEventId;
use tern_benches::corpus::{MEMBERS, Room};

fn typing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("typing");
    group.measurement_time(Duration::from_millis(200));
    for members in MEMBERS {
        // Made when it is needed: a filter may leave it out.
        let room = LazyCell::new(|| Room::new(members));
        let typing = Cell::new(false);
        let prepare = || {
            room.cluster.settle();
            room.sender.is_online();
            typing.set(!typing.get());
            if typing.get() { 20_000 } else { 0 }
        };
        let set = |timeout_ms| room.cluster.run(room.sender.set_typing(&room.room_id, timeout_ms));
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("answered", members), |bencher| {
            bencher.iter_batched(prepare, set, BatchSize::PerIteration);
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("told", members), |bencher| {
            let set_and_tell = |timeout_ms| {
                set(timeout_ms);
                room.cluster.settle();
            };
            bencher.iter_batched(prepare, set_and_tell, BatchSize::PerIteration);
        });
    }
}

fn receipts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receipt");
    group.measurement_time(Duration::from_millis(200));
    for members in MEMBERS {
        let room = LazyCell::new(|| Room::new(members));
        let prepare = || {
            let event_id = room.say();
            room.rest();
            room.reader.is_online();
            event_id
        };
        let read = |event_id: OwnedEventId| room.cluster.run(room.reader.read(&room.room_id, &event_id));
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("answered", members), |bencher| {
            bencher.iter_batched(prepare, read, BatchSize::PerIteration);
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("told", members), |bencher| {
            let read_and_tell = |event_id: OwnedEventId| {
                read(event_id);
                room.cluster.settle();
            };
            bencher.iter_batched(prepare, read_and_tell, BatchSize::PerIteration);
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = typing, receipts }
criterion_main!(benches);
