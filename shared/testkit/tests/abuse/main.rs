//! A hostile account that does what it may as often as it may: nobody else's hub grows beyond measure, nobody else's requests
//! cost more, no alarm is left that rings for nothing. Five minutes of it; `TERN_ABUSE=60` makes it an hour.

#![expect(clippy::unwrap_used, reason = "what a test prepares is known to be good")]

mod mallory;

use std::collections::BTreeMap;

use ruma::OwnedRoomId;
use tern_ports::{Target, wire::room::MembershipAction};
use tern_testkit::{Client, World};

use crate::mallory::Mallory;

/// What a hub may have more of, in bytes.
const GROWTH: u64 = 10 << 20;
/// As a room that is the hostile account's own may have: its state, what that replaced, and the tail.
const OWN_GROWTH: u64 = 26 << 20;
/// Alarms of an object in a quiet hour.
const QUIET: u64 = 4;
const MINUTE_MS: u64 = 60_000;

struct Scene {
    world: World,
    alice: Client,
    bob: Client,
    room_id: OwnedRoomId,
    sent: u64,
}

impl Scene {
    fn new() -> (Self, Mallory) {
        let world = World::new(1);
        let [alice, bob] = ["alice", "bob"].map(|name| world.sign_in(name));
        let room_id = world.run(alice.create_public_room()).unwrap();
        world.run(bob.change_membership(&room_id, MembershipAction::Join));
        let mallory = Mallory::new(&world, &room_id, [&alice, &bob]);
        world.pass(MINUTE_MS);
        (Self { world, alice, bob, room_id, sent: 0 }, mallory)
    }

    /// What a message of Alice's and Bob's sync after it cost, in steps of SQLite.
    fn request(&mut self) -> u64 {
        self.sent += 1;
        let before = self.world.steps();
        let txn_id = format!("alice{}", self.sent);
        self.world.run(self.alice.send(&self.room_id, &txn_id, "an ordinary message"));
        let mut reader = self.bob.reader(&self.room_id, 5);
        self.world.run(reader.sync(0));
        self.world.steps() - before
    }

    fn median(&mut self) -> u64 {
        let mut costs: Vec<_> = (0..15).map(|_| self.request()).collect();
        costs.sort_unstable();
        costs.get(7).copied().unwrap_or_default()
    }

    fn sizes(&self) -> BTreeMap<Target, u64> {
        self.world.sizes().into_iter().collect()
    }
}

#[test]
fn a_hostile_account_harms_nobody_else() {
    let minutes = std::env::var("TERN_ABUSE").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(5_u64);
    let (mut scene, mut mallory) = Scene::new();
    let before = (scene.median(), scene.sizes());
    for minute in 0..minutes {
        scene.world.run(mallory.minute(minute));
        scene.world.pass(MINUTE_MS);
        let during = scene.median();
        assert!(during <= 2 * before.0, "minute {minute}: a request cost {during} steps, and {} before", before.0);
    }
    println!("refused: {:?}", mallory.refused());
    for (target, bytes) in scene.sizes() {
        let more = bytes.saturating_sub(before.1.get(&target).copied().unwrap_or_default());
        let most = if mallory.owns(&target) { OWN_GROWTH } else { GROWTH };
        println!("{target:?}: {more} bytes more");
        assert!(more <= most, "{target:?} grew by {more} bytes");
    }

    // What failed once is not tried for ever.
    scene.world.pass(30 * MINUTE_MS);
    let alarms: BTreeMap<_, _> = scene.world.alarms().into_iter().collect();
    scene.world.pass(60 * MINUTE_MS);
    for (target, rung) in scene.world.alarms() {
        let rung = rung - alarms.get(&target).copied().unwrap_or_default();
        assert!(rung <= QUIET, "{target:?} rang {rung} times in a quiet hour");
    }
    assert_eq!(scene.world.probe_room(&scene.room_id).forwarded, scene.world.probe_room(&scene.room_id).newest);
}
