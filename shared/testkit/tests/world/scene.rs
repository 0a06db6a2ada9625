//! Who is in a world, what they do, and what has to hold afterwards.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use futures::future::join_all;
use ruma::{OwnedEventId, OwnedRoomId};
use tern_model::Limits;
use tern_ports::wire::room::MembershipAction;
use tern_testkit::{Client, Reader, World};

/// Messages of each sender.
pub(crate) const MESSAGES: usize = 12;

/// Long enough for every retry, in milliseconds of the cluster's time.
const HEALING_MS: u64 = 10 * 60 * 1000;

/// `TERN_SEEDS=200`: so many; `TERN_SEEDS=29..30`: these.
fn seeds(by_default: u64) -> std::ops::Range<u64> {
    let membership_change = std::env::var("TERN_SEEDS").unwrap_or_default();
    let (first, end) = membership_change.split_once("..").unwrap_or(("0", &membership_change));
    first.parse().unwrap_or(0)..end.parse().unwrap_or(by_default)
}

/// Runs `day` for each seed, and names the seed of the one that fails.
pub(crate) fn each_seed(day: impl Fn(u64)) {
    each_seed_of(12, day);
}

/// As [`each_seed`], with another number of seeds when none is wished for.
pub(crate) fn each_seed_of(by_default: u64, day: impl Fn(u64)) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {}", self.0);
            }
        }
    }
    for seed in seeds(by_default) {
        let _named = Named(seed);
        day(seed);
    }
}

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) alice: Client,
    pub(crate) bob: Client,
    pub(crate) carol: Client,
    pub(crate) room_id: OwnedRoomId,
}

impl Scene {
    /// Alice and Bob are in a room that Carol may join.
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(World::new(seed))
    }

    /// As [`Scene::new`], where a room of two is a large one already.
    pub(crate) fn large(seed: u64) -> Self {
        Self::of(World::with(seed, Limits { large_room: 1, ..Limits::default() }))
    }

    /// As [`Scene::large`], where relays tell whoever is not alone in the queue.
    pub(crate) fn relayed(seed: u64) -> Self {
        Self::of(World::with(seed, Limits { large_room: 1, relay_above: 1, ..Limits::default() }))
    }

    /// So many more come into the room.
    pub(crate) fn come(&self, count: usize) -> Vec<Client> {
        let members: Vec<_> = (0..count).map(|number| self.world.sign_in(&format!("user{number}"))).collect();
        let joins = members.iter().map(|member| member.change_membership(&self.room_id, MembershipAction::Join));
        self.world.run(join_all(joins));
        members
    }

    fn of(world: World) -> Self {
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.sign_in(name));
        let room_id = world.run(alice.create_public_room()).unwrap();
        world.run(bob.change_membership(&room_id, MembershipAction::Join));
        Self { world, alice, bob, carol, room_id }
    }

    /// Each sender sends its messages one after the other, all senders at once. The acknowledged ids, by sender.
    pub(crate) async fn converse(&self, senders: &[&Client]) -> Vec<Vec<OwnedEventId>> {
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

    /// As [`Scene::converse`], with transaction ids of another round.
    pub(crate) async fn converse_again(&self, senders: &[&Client]) -> Vec<Vec<OwnedEventId>> {
        let sends = senders.iter().map(async |sender| {
            let mut acknowledged = Vec::new();
            for number in 0..MESSAGES {
                acknowledged.push(sender.send(&self.room_id, &format!("again{number}"), "again").await);
            }
            acknowledged
        });
        join_all(sends).await
    }

    /// Heals the cluster, and checks that all parts agree in the end. The room's events in their one order.
    pub(crate) fn heal(&self) -> Vec<OwnedEventId> {
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
pub(crate) fn keep_reading(world: &World, mut reader: Reader, stop: &Rc<Cell<bool>>) -> Rc<RefCell<Option<Reader>>> {
    let done: Rc<RefCell<Option<Reader>>> = Rc::default();
    let (result, clock, stop) = (Rc::clone(&done), world.clone(), Rc::clone(stop));
    world.spawn(async move {
        while !stop.get() {
            if !reader.sync(20_000).await {
                clock.sleep(100).await;
            }
        }
        catch_up(&mut reader).await;
        result.replace(Some(reader));
    });
    done
}

/// Reads until nothing more comes.
pub(crate) async fn catch_up(reader: &mut Reader) {
    let mut before = None;
    while before != Some(reader.seen.len()) {
        before = Some(reader.seen.len());
        assert!(reader.sync(0).await, "the cluster answers again");
    }
}

/// What was seen is the end of the order, without a gap.
pub(crate) fn assert_tail(seen: &[OwnedEventId], order: &[OwnedEventId], who: &str) {
    assert!(!seen.is_empty(), "{who} saw nothing");
    let position = |event| order.iter().position(|known| known == event).map(|index| index + 1);
    let seen: Vec<_> = seen.iter().map(position).collect();
    let start = order.len().saturating_sub(seen.len());
    let tail: Vec<_> = (start..order.len()).map(|index| Some(index + 1)).collect();
    assert_eq!(seen, tail, "{who} saw the end of the room's order");
}

/// Of each sender, all acknowledged messages are in the order, once, and one after the other as they were sent.
pub(crate) fn assert_kept(acknowledged: &[Vec<OwnedEventId>], order: &[OwnedEventId]) {
    for sent in acknowledged {
        let kept: Vec<_> = order.iter().filter(|event| sent.contains(event)).cloned().collect();
        assert_eq!(&kept, sent);
    }
}
