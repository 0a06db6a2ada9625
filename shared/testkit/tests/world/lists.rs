//! Device lists: whatever happens, in the end a client that does as it is told knows exactly the devices of those it
//! shares a room with, and follows nobody else.
//!
//! People join, leave, are thrown out and shut out; devices come and go; hubs crash while they announce it, are out of reach
//! for so long that their rooms leave events out, and clients start over. `TERN_SEEDS=2000 cargo test -p tern-testkit --test
//! world lists` is a long run.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join as both;
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use tern_edge::{join, keys::Query, poll};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Target, ask_room, ask_user,
    wire::{
        keys::{QueryKeys, ReadDeviceLists, UploadKeys},
        room::{ChangeMembership, MembershipAction, ReadJoinedUsers},
        user::{ClassicSync, CloseSessions, ListRooms, OpenSession, SessionRef, SlidingSync},
    },
};
use tern_testkit::{Client, Faults, SigningKey, World};

use crate::scene::each_seed_of;

const STEPS: usize = 40;
const SEEDS: u64 = 40;
/// How often a client uploads its keys before it gives up.
const UPLOADS: usize = 3;
/// Messages that make a room leave events out for somebody who missed them: more bytes than fit into a notice.
const LONG_MESSAGES: usize = 18;
/// Longer than any retry waits.
const HEALING_MS: u64 = 20 * 60 * 1_000;

/// By which endpoint a client syncs.
#[derive(Clone, Copy, PartialEq)]
enum Face {
    Classic,
    Sliding { stable: bool },
}

/// A client that follows device lists and nothing else.
struct Follower {
    client: Client,
    face: Face,
    /// `pos` or `since`.
    token: Option<String>,
    outdated: BTreeSet<OwnedUserId>,
    known: BTreeMap<OwnedUserId, BTreeSet<OwnedDeviceId>>,
    /// Further devices of the user.
    devices: Vec<OwnedDeviceId>,
    promised: Promised,
}

/// What a user was told of devices: whoever asks after that has to see it.
#[derive(Clone, Default)]
struct Promised {
    published: BTreeSet<OwnedDeviceId>,
    gone: BTreeSet<OwnedDeviceId>,
}

type Promises = BTreeMap<OwnedUserId, Promised>;

impl Follower {
    fn me(&self) -> &UserId {
        &self.client.user_id
    }

    /// One sync; false when it failed or had nothing to say.
    async fn sync(&mut self, world: &World) -> bool {
        let (session, token) = (self.client.session(), self.token.clone());
        let question = |may_wait| {
            let (session, token) = (session.clone(), token.clone());
            match self.face {
                Face::Sliding { stable } => {
                    let body = json!({ "extensions": { "e2ee": { "enabled": true } } });
                    let body = RawJson::from_value(&body).unwrap();
                    SlidingSync { session, body, pos: token, stable, may_wait, presence: None }.into()
                }
                Face::Classic => {
                    let (since, filter) = (token, None);
                    ClassicSync {
                        session,
                        since,
                        filter,
                        full_state: false,
                        state_after: None,
                        may_wait,
                        presence: None,
                        rooms_alone: false,
                    }
                    .into()
                }
            }
        };
        let Ok(answer) = poll::long_poll(world, world, self.me(), question, 0).await else { return false };
        let answer: Value = answer.body.read().unwrap();
        let (token, lists) = match self.face {
            Face::Sliding { .. } => (&answer["pos"], &answer["extensions"]["e2ee"]["device_lists"]),
            Face::Classic => (&answer["next_batch"], &answer["device_lists"]),
        };
        let users =
            |name: &str| -> Vec<OwnedUserId> { serde_json::from_value(lists[name].clone()).unwrap_or_default() };
        self.take(users("changed"), users("left"));
        let token = token.as_str().map(str::to_owned);
        let moved = token != self.token;
        self.token = token;
        moved
    }

    fn take(&mut self, changed: Vec<OwnedUserId>, left: Vec<OwnedUserId>) {
        self.outdated.extend(changed);
        for user_id in left {
            self.outdated.remove(&user_id);
            self.known.remove(&user_id);
        }
    }

    /// Starts over without a token. What it missed it asks for where there is an endpoint for that, else it looks up
    /// whomever it finds in the rooms that its sync tells of.
    async fn start_over(&mut self, world: &World) {
        let before = self.token.take();
        if !self.sync(world).await {
            self.token = before;
            return;
        }
        if let (Face::Classic, Some(from), Some(to)) = (self.face, &before, &self.token) {
            let ask = ReadDeviceLists { session: self.client.session(), from: from.clone(), to: to.clone() };
            match ask_user(world, self.me(), ask).await {
                Ok(lists) => self.take(lists.changed, lists.left),
                Err(_) => self.token = before,
            }
        } else {
            self.known.clear();
            // The new connection tells nothing of those with whom no room was left meanwhile.
            self.outdated.clear();
            let ask = ListRooms { session: self.client.session() };
            let Ok(rooms) = insist(world, async || ask_user(world, self.me(), ask.clone()).await).await else { return };
            for room in rooms {
                self.outdated.extend(joined_users(world, &room, self.me()).await.unwrap_or_default());
            }
        }
    }

    /// Looks outdated lists up.
    async fn look_up(&mut self, world: &World, promises: &Promises) {
        if self.outdated.is_empty() {
            return;
        }
        let wanted = self.outdated.iter().map(|user_id| (user_id.clone(), Vec::new())).collect();
        let Ok(mut queried) = query(world, &self.client, wanted).await else { return };
        for user_id in std::mem::take(&mut self.outdated) {
            let devices = queried.remove(&user_id).unwrap_or_default();
            let Promised { published, gone } = &promises[&user_id];
            assert!(devices.is_superset(published), "{user_id} has {devices:?}, and more: {published:?}");
            assert!(devices.is_disjoint(gone), "{user_id} has {devices:?}, some of which are gone: {gone:?}");
            self.known.insert(user_id, devices);
        }
    }

    /// Signs in on one more device and publishes its keys, as far as the day allows.
    async fn add_device(&mut self, world: &World) {
        let added = publish_device(world, &self.client.user_id).await;
        self.note_added(added);
    }

    async fn add_two_devices_at_once(&mut self, world: &World) {
        let user_id = &self.client.user_id;
        let (one, other) = both(publish_device(world, user_id), publish_device(world, user_id)).await;
        self.note_added(one);
        self.note_added(other);
    }

    fn note_added(&mut self, added: Option<(OwnedDeviceId, bool)>) {
        let Some((device_id, acknowledged)) = added else { return };
        if acknowledged {
            self.promised.published.insert(device_id.clone());
        }
        self.devices.push(device_id);
    }

    /// As [`Follower::add_device`], and the hub loses its memory somewhere on the way of telling it.
    async fn add_device_and_crash(&mut self, world: &World) {
        let (hub, after) = (Target::User(self.client.user_id.clone()), world.random().below(120) as u64);
        let crash = async {
            world.sleep(after).await;
            world.crash(&hub);
        };
        both(self.add_device(world), crash).await;
    }

    async fn remove_device(&mut self, world: &World) {
        let Some(device_id) = self.devices.pop() else { return };
        self.promised.published.remove(&device_id);
        let close = CloseSessions { session: None, devices: Some(vec![device_id.clone()]), except: None };
        if ask_user(world, self.me(), close).await.is_ok() {
            self.promised.gone.insert(device_id);
        }
    }
}

/// A new device, and whether its keys were acknowledged.
async fn publish_device(world: &World, user_id: &UserId) -> Option<(OwnedDeviceId, bool)> {
    let open =
        OpenSession { device_id: None, display_name: None, refresh: false, ip: None, user_id: user_id.to_owned() };
    let session = ask_user(world, user_id, open).await.ok()?;
    let keys = SigningKey::of_device(user_id, session.device_id.as_str()).identity();
    let upload = UploadKeys {
        session: SessionRef { device_id: session.device_id.clone(), session_id: session.session_id },
        device_keys: Some(RawJson::from_value(&keys).unwrap()),
        one_time_keys: BTreeMap::new(),
        fallback_keys: BTreeMap::new(),
    };
    for _ in 0..UPLOADS {
        if ask_user(world, user_id, upload.clone()).await.is_ok() {
            return Some((session.device_id, true));
        }
    }
    Some((session.device_id, false))
}

struct Scene {
    world: World,
    faults: Faults,
    rooms: Vec<OwnedRoomId>,
    followers: Vec<Follower>,
}

impl Scene {
    fn new(seed: u64, faults: Faults) -> Self {
        let world = World::new(seed);
        let follower = |(index, name): (usize, &&str)| Follower {
            client: world.sign_in(name),
            face: [Face::Sliding { stable: false }, Face::Classic, Face::Sliding { stable: true }][index % 3],
            token: None,
            outdated: BTreeSet::new(),
            known: BTreeMap::new(),
            devices: Vec::new(),
            promised: Promised::default(),
        };
        let mut followers: Vec<_> = ["alice", "bob", "carol", "dave"].iter().enumerate().map(follower).collect();
        for follower in &mut followers {
            world.run(follower.sync(&world));
        }
        let rooms = followers.iter().take(3).map(|owner| world.run(owner.client.create_public_room()).unwrap());
        let rooms = rooms.collect();
        world.set_faults(faults.clone());
        Self { world, faults, rooms, followers }
    }

    fn promises(&self) -> Promises {
        let promised = |follower: &Follower| (follower.client.user_id.clone(), follower.promised.clone());
        self.followers.iter().map(promised).collect()
    }

    fn step(&mut self) {
        let promises = self.promises();
        let Self { world, rooms, followers, .. } = self;
        let random = world.random();
        let (who, whom, number) =
            (random.below(followers.len()), random.below(followers.len()), random.below(rooms.len()));
        let room = &rooms[number];
        let target = followers[whom].client.user_id.clone();
        match random.below(40) {
            0..=9 => world.run(change(world, &followers[who].client, room, MembershipAction::Join, None)),
            10..=12 => world.run(change(world, &followers[who].client, room, MembershipAction::Leave, None)),
            act @ 13..=16 => {
                // The owner of a room is its admin.
                let action = [MembershipAction::Kick, MembershipAction::Ban, MembershipAction::Unban][act % 3];
                world.run(change(world, &followers[number].client, room, action, Some(&target)));
            }
            17..=19 => world.run(followers[who].add_device(world)),
            20..=21 => world.run(followers[who].add_two_devices_at_once(world)),
            22..=23 => world.run(followers[who].add_device_and_crash(world)),
            24..=26 => world.run(followers[who].remove_device(world)),
            27 => world.evict_all(),
            28..=29 => world.pass(2_000),
            30 => world.run(followers[who].start_over(world)),
            31 => self.tunnel(whom),
            32 => {
                self.faults.storage_outage ^= true;
                self.world.set_faults(self.faults.clone());
            }
            _ => world.run(async {
                followers[who].sync(world).await;
                followers[who].look_up(world, &promises).await;
            }),
        }
    }

    /// Somebody's hub cannot be reached while members come and go and more is said than fits into one notice.
    fn tunnel(&mut self, whom: usize) {
        let unreachable = BTreeSet::from([Target::User(self.followers[whom].client.user_id.clone())]);
        self.world.set_faults(Faults { unreachable, ..self.faults.clone() });
        let Self { world, rooms, followers, .. } = self;
        let long = "o".repeat(60_000);
        for number in 0..LONG_MESSAGES {
            let index = world.random().below(rooms.len());
            let (owner, room) = (&followers[index].client, &rooms[index]);
            let mover = &followers[world.random().below(followers.len())].client;
            let action = [MembershipAction::Join, MembershipAction::Leave][number % 2];
            if index != whom && mover.user_id != followers[whom].client.user_id {
                world.run(async {
                    change(world, mover, room, action, None).await;
                    let _may_fail = owner.try_send(room, &format!("long {number}"), &long).await;
                });
            }
        }
        self.world.set_faults(self.faults.clone());
    }

    /// Everybody catches up, and is compared with what the rooms and the hubs say.
    fn check(&mut self) {
        self.world.heal();
        for (follower, room) in self.followers.iter().zip(&self.rooms) {
            // What a lost alarm would have done is due when somebody does something.
            self.world.run(change(&self.world, &follower.client, room, MembershipAction::Join, None));
        }
        self.world.pass(HEALING_MS);
        let promises = self.promises();
        for follower in &mut self.followers {
            let world = &self.world;
            world.run(async {
                while follower.sync(world).await {}
                follower.look_up(world, &promises).await;
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
            for other in joined_users(&self.world, room, user_id).await.unwrap_or_default() {
                let keys = ask_user(&self.world, &other, QueryKeys { devices: Vec::new() }).await.unwrap();
                truth.insert(other, keys.devices.into_keys().collect());
            }
        }
        truth
    }
}

/// The devices that a query tells of.
async fn query(
    world: &World,
    client: &Client,
    wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
) -> Result<BTreeMap<OwnedUserId, BTreeSet<OwnedDeviceId>>, MatrixError> {
    let mut query = Query::new(world, world.config(), &client.user_id, client.session(), wanted).await?;
    let mut text = String::new();
    while !query.is_over() {
        text += &query.next(world).await?;
    }
    let answer: Value = serde_json::from_str(&text).unwrap();
    let users: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Value>> =
        serde_json::from_value(answer["device_keys"].clone()).unwrap();
    Ok(users.into_iter().map(|(user_id, devices)| (user_id, devices.into_keys().collect())).collect())
}

/// Who else is in a room, if the user is.
async fn joined_users(world: &World, room: &RoomId, user_id: &UserId) -> Option<Vec<OwnedUserId>> {
    insist(world, async || ask_room(world, room, ReadJoinedUsers { user_id: user_id.to_owned() }).await).await.ok()
}

/// Asks until there is an answer.
async fn insist<T>(world: &World, ask: impl AsyncFn() -> Result<T, MatrixError>) -> Result<T, MatrixError> {
    loop {
        match ask().await {
            Err(error) if error.status >= 500 => world.sleep(50).await,
            result => return result,
        }
    }
}

/// Changes a membership, one's own unless `target` is given, if the room allows it.
async fn change(
    world: &World,
    client: &Client,
    room: &OwnedRoomId,
    action: MembershipAction,
    target: Option<&OwnedUserId>,
) {
    let target = target.unwrap_or(&client.user_id);
    let membership_change = join::MembershipChange { caller: &client.user_id, action, target, reason: None };
    for _ in 0..500 {
        match join::change(world, world.config(), room, membership_change).await {
            Err(error) if error.status >= 500 => world.sleep(50).await,
            _ => return,
        }
    }
}

fn day(seed: u64, faults: Faults) {
    let mut scene = Scene::new(seed, faults);
    for _ in 0..STEPS {
        scene.step();
    }
    scene.check();
}

#[test]
fn every_client_ends_up_with_the_devices_of_its_companions() {
    each_seed_of(SEEDS, |seed| day(seed, Faults { latency_ms: 20, ..Faults::default() }));
}

/// Bob's room tells his hub late that he joined. Alice has looked his devices up by then, and he has published another.
#[test]
fn a_device_published_before_the_hub_knows_of_the_join_is_announced() {
    let mut scene = Scene::new(1, Faults::default());
    let bob = scene.followers[1].client.user_id.clone();
    let (action, content) = (MembershipAction::Join, Some(RawJson::from_value(&json!({})).unwrap()));
    let join = ChangeMembership { caller: bob.clone(), action, target: bob.clone(), reason: None, content };
    let unreachable = BTreeSet::from([Target::User(bob.clone())]);
    scene.world.set_faults(Faults { unreachable, ..Faults::default() });
    scene.world.run(ask_room(&scene.world, &scene.rooms[0], join)).unwrap();
    scene.world.heal();
    let (world, nothing) = (scene.world.clone(), scene.promises());
    world.run(async {
        while !scene.followers[0].outdated.contains(&bob) {
            scene.followers[0].sync(&world).await;
        }
        scene.followers[0].look_up(&world, &nothing).await;
        scene.followers[1].add_device(&world).await;
    });
    assert_eq!(scene.followers[0].known.get(&bob), Some(&BTreeSet::new()), "looked up, and too early");
    scene.check();
}

#[test]
fn on_a_bad_day_too() {
    each_seed_of(SEEDS, |seed| day(seed, Faults::bad_day()));
}

/// Bob's databases are away when he publishes a device. Nobody is told of it, and nobody sees it, before it is copied; then
/// everybody does, whether his hub is there or not.
#[test]
fn a_device_is_acknowledged_announced_and_seen_when_it_is_in_the_copy() {
    let mut scene = Scene::new(1, Faults::default());
    let (world, bob) = (scene.world.clone(), scene.followers[1].client.user_id.clone());
    let join = change(&world, &scene.followers[1].client, &scene.rooms[0], MembershipAction::Join, None);
    world.run(join);
    world.pass(1_000);
    world.run(async { while scene.followers[0].sync(&world).await {} });
    let nothing = scene.promises();
    world.run(scene.followers[0].look_up(&world, &nothing));
    world.set_faults(Faults { storage_outage: true, ..Faults::default() });
    world.run(scene.followers[1].add_device(&world));
    assert!(scene.followers[1].promised.published.is_empty(), "not acknowledged");
    world.pass(500);
    world.run(async { while scene.followers[0].sync(&world).await {} });
    assert!(scene.followers[0].outdated.is_empty(), "not announced");
    let of_bob = || BTreeMap::from([(bob.clone(), Vec::new())]);
    world.run(query(&world, &scene.followers[0].client, of_bob())).expect_err("not seen");

    world.crash(&Target::User(bob.clone()));
    world.heal();
    world.pass(HEALING_MS);
    world.run(async { while scene.followers[0].sync(&world).await {} });
    assert!(scene.followers[0].outdated.contains(&bob));
    world.set_faults(Faults { unreachable: BTreeSet::from([Target::User(bob.clone())]), ..Faults::default() });
    let seen = world.run(query(&world, &scene.followers[0].client, of_bob())).unwrap();
    assert_eq!(seen[&bob].iter().collect::<Vec<_>>(), scene.followers[1].devices.iter().collect::<Vec<_>>());
}

/// More users than one page has: the pieces are one object, the same whether the copies are read or the hubs are asked.
#[test]
fn a_query_of_many_tells_of_all_of_them_in_pages() {
    let mut scene = Scene::new(1, Faults::default());
    let world = scene.world.clone();
    for follower in &mut scene.followers {
        world.run(follower.add_device(&world));
    }
    let nobody = |number| OwnedUserId::try_from(format!("@n{number:04}:tern.test")).unwrap();
    let names = (0..2_500).map(nobody).chain(scene.followers.iter().map(|follower| follower.client.user_id.clone()));
    let wanted: BTreeMap<_, _> = names.map(|user_id| (user_id, Vec::new())).collect();
    let ask = || world.run(query(&world, &scene.followers[0].client, wanted.clone())).unwrap();
    let copied = ask();
    assert_eq!(copied.len(), wanted.len());
    for follower in &scene.followers {
        assert_eq!(copied[follower.me()].iter().collect::<Vec<_>>(), follower.devices.iter().collect::<Vec<_>>());
    }
    assert_eq!(copied.values().filter(|devices| devices.is_empty()).count(), 2_500);
    world.set_faults(Faults { storage_outage: true, ..Faults::default() });
    assert_eq!(ask(), copied);
}
