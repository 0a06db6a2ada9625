//! Wire frames: the ones that are most on the way, written and read.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tern_benches::{corpus::Account, workloads::Frames};
use tern_ports::wire::{RoomCommand, UserCommand, frame, sync::SyncRoom};

fn frames(criterion: &mut Criterion) {
    let frames = Frames::of(&Account::new(20));
    let (send, notice) = (frame::write(&frames.send), frame::write(&frames.notice));
    let slices = frame::write_reply(&frames.slices);
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Bytes(send.len() as u64));
    group.bench_function("send/write", |bencher| bencher.iter(|| frame::write(black_box(&frames.send))));
    group.bench_function("send/read", |bencher| bencher.iter(|| frame::read::<RoomCommand>(black_box(&send))));
    group.throughput(Throughput::Bytes(notice.len() as u64));
    group.bench_function("notice/write", |bencher| bencher.iter(|| frame::write(black_box(&frames.notice))));
    group.bench_function("notice/read", |bencher| bencher.iter(|| frame::read::<UserCommand>(black_box(&notice))));
    group.throughput(Throughput::Bytes(slices.len() as u64));
    group.bench_function("slices of 20 rooms/write", |bencher| {
        bencher.iter(|| frame::write_reply(black_box(&frames.slices)));
    });
    group.bench_function("slices of 20 rooms/read", |bencher| {
        bencher.iter(|| frame::read_reply::<Vec<SyncRoom>>(black_box(&slices)));
    });
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = frames }
criterion_main!(benches);
