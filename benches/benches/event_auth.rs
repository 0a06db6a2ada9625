//! The authorisation rules over a message, with the room's state in memory.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has to stop, with the reason")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tern_benches::{
    Cluster,
    corpus::{Hall, MEMBERS},
};
use tern_room::{authorise, build};
use tern_testkit::TestClock;

fn event_auth(criterion: &mut Criterion) {
    let cluster = Cluster::default();
    let mut group = criterion.benchmark_group("event_auth");
    for members in MEMBERS {
        let hall = Hall::new(cluster.config(), members);
        let pdu = build(&hall, &hall.message(), TestClock::START, &hall.signer).expect("the draft is good");
        group.bench_function(BenchmarkId::new("message", members), |bencher| {
            bencher.iter(|| authorise(&hall, black_box(&pdu)).expect("members may write"));
        });
    }
}

criterion_group! { name = benches; config = tern_benches::criterion(); targets = event_auth }
criterion_main!(benches);
