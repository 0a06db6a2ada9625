//! Making an event: canonical JSON, content hash, signature, event id.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has to stop, with the reason")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ruma::{CanonicalJsonObject, signatures::reference_hash};
use tern_benches::{Cluster, corpus::Hall};
use tern_room::{DEFAULT, build, build::propose};
use tern_testkit::TestClock;

fn sign(criterion: &mut Criterion) {
    let hall = Hall::new(Cluster::default().config(), 2);
    let (draft, now) = (hall.message(), TestClock::START);
    let pdu = build(&hall, &draft, now, &hall.signer).expect("the draft is good");
    let object: CanonicalJsonObject = pdu.raw().read().expect("an event is canonical JSON");
    let mut group = criterion.benchmark_group("event");
    group.bench_function("canonical JSON", |bencher| bencher.iter(|| serde_json::to_string(black_box(&object))));
    group.bench_function("reference hash", |bencher| {
        bencher.iter(|| reference_hash(black_box(&object), &DEFAULT.rules));
    });
    group.bench_function("signature", |bencher| {
        bencher.iter_batched_ref(
            || object.clone(),
            |object| hall.signer.sign(object),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("built and signed", |bencher| {
        bencher.iter(|| build(&hall, black_box(&draft), now, &hall.signer));
    });
    group.bench_function("built, signed and authorised", |bencher| {
        bencher.iter(|| propose(&hall, black_box(&draft), now, &hall.signer));
    });
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = sign }
criterion_main!(benches);
