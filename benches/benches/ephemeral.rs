//! Typing and receipts, until the answer and until every member's hub has been told.

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ruma::OwnedEventId;
use tern_benches::corpus::{MEMBERS, Room};

fn typing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("typing");
    for members in MEMBERS {
        let room = Room::new(members);
        let mut starts = false;
        let mut prepare = || {
            room.cluster.settle();
            room.sender.is_online();
            starts = !starts;
            if starts { 20_000 } else { 0 }
        };
        group.measurement_time(Duration::from_millis(200));
        group.bench_function(BenchmarkId::new("answered", members), |bencher| {
            let set = |timeout_ms| room.cluster.run(room.sender.set_typing(&room.room_id, timeout_ms));
            bencher.iter_batched(&mut prepare, set, BatchSize::PerIteration);
        });
        group.measurement_time(Duration::from_secs(1));
        group.bench_function(BenchmarkId::new("told", members), |bencher| {
            let set = |timeout_ms| {
                room.cluster.run(room.sender.set_typing(&room.room_id, timeout_ms));
                room.cluster.settle();
            };
            bencher.iter_batched(&mut prepare, set, BatchSize::PerIteration);
        });
    }
}

fn receipts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receipt");
    for members in MEMBERS {
        let room = Room::new(members);
        let prepare = || {
            let event_id = room.say();
            room.cluster.settle();
            room.reader.is_online();
            event_id
        };
        group.measurement_time(Duration::from_millis(200));
        group.bench_function(BenchmarkId::new("answered", members), |bencher| {
            let read = |event_id: OwnedEventId| room.cluster.run(room.reader.read(&room.room_id, &event_id));
            bencher.iter_batched(prepare, read, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("told", members), |bencher| {
            let read = |event_id: OwnedEventId| {
                room.cluster.run(room.reader.read(&room.room_id, &event_id));
                room.cluster.settle();
            };
            bencher.iter_batched(prepare, read, BatchSize::PerIteration);
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = typing, receipts }
criterion_main!(benches);
