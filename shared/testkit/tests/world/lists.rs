//! Device lists: whatever happens, in the end a client that does as it is told knows exactly the devices of those it
//! shares a room with, and follows nobody else.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Value, json};
use tern_flows::{keys, poll};
use tern_model::RawJson;
use tern_ports::{
    ask_room, ask_user,
    wire::{
        keys::{QueryKeys, UploadKeys},
        room::{MembershipAction, ReadCompanions},
        user::{ClassicSync, CloseSessions, OpenSession, SessionRef, SlidingSync},
    },
};
use tern_testkit::{Client, Faults, SigningKey, World};

use crate::scene::each_seed_of;

const STEPS: usize = 40;
const SEEDS: u64 = 40;
/// Longer than any retry waits.
const HEALING_MS: u64 = 20 * 60 * 1_000;

/// A client that follows device lists and nothing else.
struct Follower {
    client: Client,
    sliding: bool,
    /// `pos` or `since`.
    token: Option<String>,
    outdated: BTreeSet<OwnedUserId>,
    known: BTreeMap<OwnedUserId, BTreeSet<OwnedDeviceId>>,
    /// Further devices of the user.
    devices: Vec<OwnedDeviceId>,
}

impl Follower {
    fn me(&self) -> &UserId {
        &self.client.user_id
    }

    /// One sync; false when it failed or had nothing to say.
    async fn sync(&mut self, world: &World) -> bool {
        let (session, token) = (self.client.session(), self.token.clone());
        let question = |may_wait| {
            let (session, token) = (session.clone(), token.clone());
            if self.sliding {
                let body = json!({ "extensions": { "e2ee": { "enabled": true } } });
                let body = RawJson::from_value(&body).unwrap();
                SlidingSync { session, body, pos: token, stable: false, may_wait, presence: None }.into()
            } else {
                let (since, filter) = (token, None);
                ClassicSync { session, since, filter, full_state: false, state_after: None, may_wait, presence: None }
                    .into()
            }
        };
        let Ok(answer) = poll::long_poll(world, world, self.me(), question, 0).await else { return false };
        let answer: Value = answer.body.read().unwrap();
        let (token, lists) = if self.sliding {
            (&answer["pos"], &answer["extensions"]["e2ee"]["device_lists"])
        } else {
            (&answer["next_batch"], &answer["device_lists"])
        };
        let users =
            |name: &str| -> Vec<OwnedUserId> { serde_json::from_value(lists[name].clone()).unwrap_or_default() };
        self.outdated.extend(users("changed"));
        for user_id in users("left") {
            self.outdated.remove(&user_id);
            self.known.remove(&user_id);
        }
        let token = token.as_str().map(str::to_owned);
        let moved = token != self.token;
        self.token = token;
        moved
    }

    /// Looks outdated lists up.
    async fn look_up(&mut self, world: &World) {
        if self.outdated.is_empty() {
            return;
        }
        let wanted = self.outdated.iter().map(|user_id| (user_id.clone(), Vec::new())).collect();
        let queried = keys::query(world, world.config(), self.me(), self.client.session(), wanted).await;
        let Ok(queried) = queried else { return };
        for user_id in std::mem::take(&mut self.outdated) {
            let devices = queried.device_keys.get(&user_id).map(|devices| devices.keys().cloned().collect());
            self.known.insert(user_id, devices.unwrap_or_default());
        }
    }

    /// Signs in on one more device and publishes its keys, as far as the day allows.
    async fn add_device(&mut self, world: &World) {
        let user_id = self.client.user_id.clone();
        let open =
            OpenSession { device_id: None, display_name: None, refresh: false, ip: None, user_id: user_id.clone() };
        let Ok(session) = ask_user(world, &user_id, open).await else { return };
        let keys = SigningKey::of_device(&user_id, session.device_id.as_str()).identity();
        let upload = UploadKeys {
            session: SessionRef { device_id: session.device_id.clone(), session_id: session.session_id },
            device_keys: Some(RawJson::from_value(&keys).unwrap()),
            one_time_keys: BTreeMap::new(),
            fallback_keys: BTreeMap::new(),
        };
        self.devices.push(session.device_id);
        let _may_fail = ask_user(world, &user_id, upload).await;
    }

    async fn remove_device(&mut self, world: &World) {
        let Some(device_id) = self.devices.pop() else { return };
        let close = CloseSessions { session: None, devices: Some(vec![device_id]), except: None };
        let _may_fail = ask_user(world, self.me(), close).await;
    }
}

struct Scene {
    world: World,
    rooms: Vec<OwnedRoomId>,
    followers: Vec<Follower>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let follower = |(index, name): (usize, &&str)| Follower {
            client: world.sign_in(name),
            sliding: index % 2 == 0,
            token: None,
            outdated: BTreeSet::new(),
            known: BTreeMap::new(),
            devices: Vec::new(),
        };
        let mut followers: Vec<_> = ["alice", "bob", "carol", "dave"].iter().enumerate().map(follower).collect();
        for follower in &mut followers {
            world.run(follower.sync(&world));
        }
        let rooms = followers.iter().take(3).map(|owner| world.run(owner.client.create_public_room()).unwrap());
        let rooms = rooms.collect();
        Self { world, rooms, followers }
    }

    fn step(&mut self) {
        let Self { world, rooms, followers } = self;
        let who = world.random().below(followers.len());
        let room = &rooms[world.random().below(rooms.len())];
        let follower = &mut followers[who];
        match world.random().below(10) {
            0..=2 => world.run(follower.client.change_membership(room, MembershipAction::Join)),
            3 => world.run(leave(world, &follower.client, room)),
            4 | 5 => world.run(follower.add_device(world)),
            6 => world.run(follower.remove_device(world)),
            7 => world.evict_all(),
            8 => world.pass(2_000),
            _ => world.run(async {
                follower.sync(world).await;
                follower.look_up(world).await;
            }),
        }
    }

    /// Everybody catches up, and is compared with what the rooms and the hubs say.
    fn check(&mut self) {
        self.world.heal();
        for (follower, room) in self.followers.iter().zip(&self.rooms) {
            // What a lost alarm would have done is due when somebody does something.
            self.world.run(follower.client.change_membership(room, MembershipAction::Join));
        }
        self.world.pass(HEALING_MS);
        for follower in &mut self.followers {
            let world = &self.world;
            world.run(async {
                while follower.sync(world).await {}
                follower.look_up(world).await;
            });
        }
        for follower in &self.followers {
            let mut known = follower.known.clone();
            known.remove(follower.me());
            assert_eq!(known, self.world.run(self.truth(follower.me())), "{}", follower.me());
        }
    }

    async fn truth(&self, user_id: &UserId) -> BTreeMap<OwnedUserId, BTreeSet<OwnedDeviceId>> {
        let mut truth = BTreeMap::new();
        for room in &self.rooms {
            let ask = ReadCompanions { user_id: user_id.to_owned() };
            for other in ask_room(&self.world, room, ask).await.unwrap_or_default() {
                let keys = ask_user(&self.world, &other, QueryKeys { devices: Vec::new() }).await.unwrap();
                truth.insert(other, keys.devices.into_keys().collect());
            }
        }
        truth
    }
}

/// Leaves, if joined.
async fn leave(world: &World, client: &Client, room: &OwnedRoomId) {
    let ask = ReadCompanions { user_id: client.user_id.clone() };
    loop {
        match ask_room(world, room, ask.clone()).await {
            Ok(_) => return client.change_membership(room, MembershipAction::Leave).await,
            Err(error) if error.status >= 500 => world.sleep(50).await,
            Err(_) => return,
        }
    }
}

fn day(seed: u64, faults: Faults) {
    let mut scene = Scene::new(seed);
    scene.world.set_faults(faults);
    for _ in 0..STEPS {
        scene.step();
    }
    scene.check();
}

#[test]
fn every_client_ends_up_with_the_devices_of_its_companions() {
    each_seed_of(SEEDS, |seed| day(seed, Faults { latency_ms: 20, ..Faults::default() }));
}

#[test]
fn on_a_bad_day_too() {
    each_seed_of(SEEDS, |seed| day(seed, Faults::bad_day()));
}
