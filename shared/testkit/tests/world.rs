//! The whole cluster under faults: nothing acknowledged is lost, doubled or reordered, and everything heals.
//!
//! `TERN_SEEDS=200 cargo test -p tern-testkit --test world` tries more days; a failure names its seed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use futures::future::join_all;
use ruma::{OwnedEventId, OwnedRoomId};
use tern_ports::{Target, wire::room::MembershipAction};
use tern_testkit::{Client, Faults, Reader, World};

/// Messages of each sender.
const MESSAGES: usize = 12;

/// Long enough for every retry, in milliseconds of the cluster's time.
const HEALING_MS: u64 = 10 * 60 * 1000;

fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("TERN_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12)
}

/// Runs `day` for each seed, and names the seed of the one that fails.
fn each_seed(day: impl Fn(u64)) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {}", self.0);
            }
        }
    }
    for seed in seeds() {
        let _named = Named(seed);
        day(seed);
    }
}

struct Scene {
    world: World,
    alice: Client,
    bob: Client,
    carol: Client,
    room_id: OwnedRoomId,
}

impl Scene {
    /// Alice and Bob are in a room that Carol may join.
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.sign_in(name));
        let room_id = world.run(alice.create_public_room()).unwrap();
        world.run(bob.change_membership(&room_id, MembershipAction::Join));
        Self { world, alice, bob, carol, room_id }
    }

    /// Each sender sends its messages one after the other, all senders at once. The acknowledged ids, by sender.
    async fn converse(&self, senders: &[&Client]) -> Vec<Vec<OwnedEventId>> {
        let send_all = |sender: &Client| {
            let (sender, room_id, world) = (sender.clone(), self.room_id.clone(), self.world.clone());
            async move {
                let mut acknowledged = Vec::new();
                for number in 0..MESSAGES {
                    let txn_id = format!("txn{number}");
                    acknowledged.push(sender.send(&room_id, &txn_id, &format!("message {number}")).await);
                    world.sleep(world.random().below(300) as u64).await;
                }
                acknowledged
            }
        };
        join_all(senders.iter().map(|sender| send_all(sender))).await
    }

    /// Heals the cluster, and checks that all parts agree in the end. The room's events in their one order.
    fn heal(&self) -> Vec<OwnedEventId> {
        self.world.heal();
        // Somebody speaks once more: what a lost alarm would have done is due now.
        self.world.run(self.alice.send(&self.room_id, "healed", "still here"));
        self.world.pass(HEALING_MS);
        let probe = self.world.probe_room(&self.room_id);
        assert_eq!((probe.forwarded, probe.announced), (probe.newest, probe.newest), "everything was passed on");
        let order = self.world.run(self.alice.history(&self.room_id, true, 10));
        assert_eq!(order.len() as u64, probe.newest.0, "the history is complete");
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), order.len(), "no event is doubled");
        for (backwards, limit) in [(true, 1), (false, 10), (false, 3)] {
            let other = self.world.run(self.bob.history(&self.room_id, backwards, limit));
            assert_eq!(other, order, "one order for every reader");
        }
        order
    }
}

/// Reads on in the background until told to stop, then until nothing more comes.
fn keep_reading(world: &World, mut reader: Reader, stop: &Rc<Cell<bool>>) -> Rc<RefCell<Option<Reader>>> {
    let done: Rc<RefCell<Option<Reader>>> = Rc::default();
    let (result, clock, stop) = (Rc::clone(&done), world.clone(), Rc::clone(stop));
    world.spawn(async move {
        while !stop.get() {
            if !reader.sync(20_000).await {
                clock.sleep(100).await;
            }
        }
        while reader_grows(&mut reader).await {}
        result.replace(Some(reader));
    });
    done
}

async fn reader_grows(reader: &mut Reader) -> bool {
    let before = reader.seen.len();
    assert!(reader.sync(0).await, "the cluster answers again");
    reader.seen.len() > before
}

/// What was seen is the end of the order, without a gap.
fn assert_tail(seen: &[OwnedEventId], order: &[OwnedEventId], who: &str) {
    assert!(!seen.is_empty(), "{who} saw nothing");
    let start = order.len().saturating_sub(seen.len());
    assert_eq!(seen, &order[start..], "{who} saw the room's order");
}

/// Of each sender, all acknowledged messages are in the order, once, and one after the other as they were sent.
fn assert_kept(acknowledged: &[Vec<OwnedEventId>], order: &[OwnedEventId]) {
    for sent in acknowledged {
        let kept: Vec<_> = order.iter().filter(|event| sent.contains(event)).cloned().collect();
        assert_eq!(&kept, sent);
    }
}

fn day(seed: u64, faults: Faults, timeline_limit: u64) -> World {
    let scene = Scene::new(seed);
    let stop = Rc::new(Cell::new(false));
    let mut readers = [&scene.alice, &scene.bob].map(|client| client.reader(&scene.room_id, timeline_limit));
    for reader in &mut readers {
        scene.world.run(reader.sync(0));
    }
    let before = readers.each_ref().map(|reader| reader.seen.len());
    let readers = readers.map(|reader| keep_reading(&scene.world, reader, &stop));
    scene.world.set_faults(faults);
    let late = scene.world.run(async {
        let senders = [&scene.alice, &scene.bob];
        let talk = scene.converse(&senders);
        let join = async {
            scene.world.sleep(700).await;
            scene.carol.change_membership(&scene.room_id, MembershipAction::Join).await;
        };
        let (acknowledged, ()) = futures::future::join(talk, join).await;
        acknowledged
    });
    let late_reader = keep_reading(&scene.world, scene.carol.reader(&scene.room_id, timeline_limit), &stop);
    let more = scene.world.run(scene.converse_again(&[&scene.bob, &scene.carol]));
    let order = scene.heal();
    stop.set(true);
    scene.world.pass(60_000);
    assert_kept(&late, &order);
    assert_kept(&more, &order);
    for (index, reader) in readers.into_iter().enumerate() {
        let reader = reader.take().expect("the reader came to its end");
        assert_tail(&reader.seen, &order, &format!("reader {index}"));
        assert!(reader.seen.len() > before[index] + 3 * MESSAGES, "including all that was sent meanwhile");
    }
    let reader = late_reader.take().expect("Carol's reader came to its end");
    assert_tail(&reader.seen, &order, "carol");
    scene.world
}

impl Scene {
    /// As [`Scene::converse`], with transaction ids of another round.
    async fn converse_again(&self, senders: &[&Client]) -> Vec<Vec<OwnedEventId>> {
        let sends = senders.iter().map(async |sender| {
            let mut acknowledged = Vec::new();
            for number in 0..MESSAGES {
                acknowledged.push(sender.send(&self.room_id, &format!("again{number}"), "again").await);
            }
            acknowledged
        });
        join_all(sends).await
    }
}

#[test]
fn on_a_good_day_everybody_sees_everything_once_and_in_one_order() {
    let world = day(1, Faults { latency_ms: 20, ..Faults::default() }, 20);
    assert_eq!(world.crashes(), 0);
}

#[test]
fn on_a_bad_day_too() {
    let crashes = Cell::new(0);
    each_seed(|seed| crashes.set(crashes.get() + day(seed, Faults::bad_day(), 20).crashes()));
    assert!(crashes.get() > 0, "objects did crash");
}

#[test]
fn with_short_timelines_the_gaps_can_be_filled() {
    each_seed(|seed| drop(day(seed, Faults::bad_day(), 2)));
}

#[test]
fn a_storage_outage_delays_history_and_nothing_else() {
    each_seed(|seed| drop(day(seed, Faults { storage_outage: true, ..Faults::bad_day() }, 5)));
}

#[test]
fn a_user_whose_hub_cannot_be_reached_catches_up() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        let mut reader = scene.bob.reader(&scene.room_id, 5);
        scene.world.run(reader.sync(0));
        let bob = Target::User(scene.bob.user_id.clone());
        scene.world.set_faults(Faults { unreachable: BTreeSet::from([bob]), ..Faults::bad_day() });
        let acknowledged = scene.world.run(scene.converse(&[&scene.alice]));
        let order = scene.heal();
        scene.world.run(async { while reader_grows(&mut reader).await {} });
        assert_kept(&acknowledged, &order);
        assert_tail(&reader.seen, &order, "bob");
    });
}

#[test]
fn a_repeated_transaction_is_the_same_event_after_every_crash() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        scene.world.set_faults(Faults::bad_day());
        let mut ids = BTreeSet::new();
        for _ in 0..6 {
            let sends = (0..3).map(|_| scene.alice.send(&scene.room_id, "one", "only once"));
            ids.extend(scene.world.run(join_all(sends)));
            scene.world.crash(&Target::Room(scene.room_id.clone()));
        }
        assert_eq!(ids.len(), 1, "one transaction, one event");
        let order = scene.heal();
        assert_eq!(order.iter().filter(|event| ids.contains(*event)).count(), 1);
    });
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_once() {
    each_seed(|seed| {
        let scene = Scene::new(seed);
        let mut acknowledged = Vec::new();
        for number in 0..10 {
            acknowledged.push(scene.world.run(scene.alice.send(&scene.room_id, &format!("t{number}"), "kept")));
            scene.world.crash(&Target::Room(scene.room_id.clone()));
        }
        assert_kept(&[acknowledged], &scene.heal());
    });
}

#[test]
fn a_poll_stays_parked_while_its_hub_is_evicted() {
    let scene = Scene::new(3);
    let mut reader = scene.bob.reader(&scene.room_id, 20);
    scene.world.run(reader.sync(0));
    scene.world.run(reader.sync(0));
    let bob = Target::User(scene.bob.user_id.clone());
    let answers = reader.answers;
    let read = Rc::new(RefCell::new(None));
    let result = Rc::clone(&read);
    scene.world.spawn(async move {
        reader.sync(25_000).await;
        result.replace(Some(reader));
    });
    scene.world.pass(12_000);
    let lives = scene.world.lives(&bob);
    scene.world.evict_all();
    scene.world.pass(1_000);
    let sent = scene.world.run(scene.alice.send(&scene.room_id, "late", "while you slept"));
    scene.world.pass(1_000);
    assert_eq!(scene.world.lives(&bob), lives + 1, "the hub was built again for the news");
    let reader = read.take().expect("the poll was answered well before its time was over");
    assert_eq!((reader.answers, reader.seen.last()), (answers + 1, Some(&sent)));
}
