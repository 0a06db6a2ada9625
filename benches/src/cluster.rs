//! Hubs of rooms and users and the storage worker in one process, with everything that passes between them counted.
//!
//! Nothing ever goes wrong here, and everything happens in one order: the same requests always have the same cost.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    rc::{Rc, Weak},
    task::{Poll, Waker},
};

use futures::future::FutureExt;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use tern_auth::TokenCache;
use tern_model::{Accounts, Config, Limits, Millis};
use tern_ports::{
    Attachment, Clock, Entropy, ObjectHost, PollReply, Polls, Sql, Target, Transport, Unreachable,
    wire::{Done, RelayCommand, RoomCommand, UserCommand, frame, policy::Standing, room::CreateRoom},
};
use tern_room_hub::RoomActor;
use tern_small_objects::relay::RelayActor;
use tern_testkit::{
    Executor, Network, SeededEntropy, Sqlite, StorageNode, TestClock, TestHost, executor::yield_once, network::Exchange,
};
use tern_user_hub::{Handled, SCHEMA, UserActor};

use crate::host::{self, Host};

/// Users whose names begin like this have no hub: whatever they are told is acknowledged. A room of 20,000 would need
/// 20,000 databases otherwise.
pub const LISTENER: &str = "listener";

/// The cluster. Clones are the same one.
#[derive(Clone)]
pub struct Cluster(Rc<Parts>);

struct Parts {
    executor: Executor,
    clock: TestClock,
    entropy: SeededEntropy,
    config: Rc<Config>,
    storage: Rc<StorageNode>,
    rooms: RefCell<BTreeMap<OwnedRoomId, Object<RoomActor<Host>>>>,
    users: RefCell<BTreeMap<OwnedUserId, Object<UserActor<Host>>>>,
    relays: RefCell<BTreeMap<String, Rc<RelayActor<Host>>>>,
    tokens: RefCell<TokenCache>,
    timers: RefCell<Vec<(Millis, Waker)>>,
    tally: Cell<Tally>,
}

/// A Durable Object in memory.
struct Object<A> {
    host: Rc<Host>,
    actor: Rc<A>,
}

impl<A> Clone for Object<A> {
    fn clone(&self) -> Self {
        Self { host: Rc::clone(&self.host), actor: Rc::clone(&self.actor) }
    }
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages to hubs of rooms and users, and to relays.
    pub hops: u64,
    /// Those of them that hubs of rooms sent.
    pub room_hops: u64,
    /// Messages to the storage worker.
    pub storage: u64,
    /// Alarms that rang.
    pub alarms: u64,
    /// Rows written, by hubs and in D1, as they are billed.
    pub rows: u64,
    /// Requests of users' hubs to servers that are not ours.
    pub outbound: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Self(Rc::new(Parts {
            executor: Executor::new(),
            clock: TestClock::default(),
            entropy: SeededEntropy::new(1),
            config: Rc::new(config()),
            storage: StorageNode::new(),
            rooms: RefCell::default(),
            users: RefCell::default(),
            relays: RefCell::default(),
            tokens: RefCell::default(),
            timers: RefCell::default(),
            tally: Cell::default(),
        }))
    }
}

impl Cluster {
    /// The configuration of every part.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The tokens that the edge has seen.
    pub(crate) fn tokens(&self) -> &RefCell<TokenCache> {
        &self.0.tokens
    }

    /// Runs `work` until it is done, and whatever else is ready beside it.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.executor.run_with(work, || self.0.pass_time())
    }

    /// Finishes what earlier requests have started.
    pub fn settle(&self) {
        self.0.executor.settle();
    }

    /// As [`Cluster::settle`], and lets time pass until no alarm is set any more.
    ///
    /// # Panics
    /// When the alarms never fall silent.
    pub fn quiesce(&self) {
        for _ in 0..10_000 {
            self.settle();
            let Some(at) = self.0.next_alarm() else { return };
            self.0.clock.advance_to(at);
            self.0.ring();
        }
        panic!("the alarms never fall silent");
    }

    /// Nothing is under way, and no alarm is set.
    pub fn is_at_rest(&self) -> bool {
        self.0.executor.pending() == 0 && self.0.next_alarm().is_none()
    }

    /// Nothing can be stored, or can again.
    pub fn storage_is_away(&self, away: bool) {
        self.0.storage.d1.outage.set(away);
    }

    /// Moves time on.
    pub fn pass(&self, ms: u64) {
        self.0.clock.advance(ms);
    }

    /// What has happened so far.
    pub fn tally(&self) -> Tally {
        let rooms: u64 = self.0.rooms.borrow().values().map(|room| room.host.rows_written()).sum();
        let users: u64 = self.0.users.borrow().values().map(|user| user.host.rows_written()).sum();
        let outbound = self.0.users.borrow().values().map(|user| user.host.outbound()).sum();
        Tally { rows: rooms + users + self.0.storage.d1.rows_written(), outbound, ..self.0.tally.get() }
    }

    /// The room's hub leaves memory, as it does after ten idle seconds.
    pub fn evict_room(&self, room_id: &RoomId) {
        let mut rooms = self.0.rooms.borrow_mut();
        let room = rooms.get_mut(room_id).expect("the room has a hub");
        *room = self.0.room_object(room_id, room.host.evicted());
    }

    /// The user's hub leaves memory.
    pub fn evict_user(&self, user_id: &UserId) {
        let mut users = self.0.users.borrow_mut();
        let user = users.get_mut(user_id).expect("the user has a hub");
        *user = self.0.user_object(user_id, user.host.evicted());
    }

    /// Makes a room with all its events at once, of which only its creator is told.
    pub(crate) fn found(&self, room_id: &RoomId, create: CreateRoom) {
        let setup = Executor::new();
        let sqlite = Rc::new(Sqlite::memory());
        let room = self.0.room_object(room_id, Host::new(self.test_host(&setup, &sqlite)));
        let reply = setup.run(room.actor.handle(create.into()));
        frame::read_reply::<tern_ports::wire::room::Sent>(&reply).expect("the room is made");
        drop(room);
        let mut task = 1;
        while setup.pending() > 0 {
            setup.kill(task);
            task += 1;
        }
        sqlite.query("UPDATE head SET announced = newest", &[]).expect("the room has a head");
        sqlite.make_durable();
        let room = self.0.room_object(room_id, Host::new(self.test_host(&self.0.executor, &sqlite)));
        self.0.rooms.borrow_mut().insert(room_id.to_owned(), room);
    }

    fn test_host(&self, executor: &Executor, sqlite: &Rc<Sqlite>) -> TestHost {
        TestHost { executor: executor.clone(), sqlite: Rc::clone(sqlite), ..Parts::host(&self.0, true) }
    }
}

fn config() -> Config {
    Config {
        server_name: ruma::server_name!("tern.test").to_owned(),
        public_url: None,
        signing_key_id: "ed25519:1".to_owned(),
        signing_key: vec![7; 32],
        token_key: vec![8; 32],
        admin_token: None,
        open_registration: true,
        registration_token: None,
        unlimited: true,
        limits: Limits::default(),
        accounts: Accounts::default(),
        outbound_private: false,
        default_room_version: None,
        support: None,
        federation: tern_model::Federation::default(),
    }
}

impl Parts {
    fn host(self: &Rc<Self>, of_room: bool) -> TestHost {
        TestHost {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            executor: self.executor.clone(),
            network: Rc::new(Wires { parts: Rc::downgrade(self), of_room }),
            ..TestHost::default()
        }
    }

    fn room_object(&self, room_id: &RoomId, host: Rc<Host>) -> Object<RoomActor<Host>> {
        let actor = RoomActor::new(Rc::clone(&host), Rc::clone(&self.config), room_id.to_owned());
        Object { host, actor: Rc::new(actor) }
    }

    fn user_object(&self, user_id: &UserId, host: Rc<Host>) -> Object<UserActor<Host>> {
        let actor = UserActor::new(Rc::clone(&host), Rc::clone(&self.config), user_id.to_owned());
        Object { host, actor: Rc::new(actor) }
    }

    fn room(self: &Rc<Self>, room_id: &RoomId) -> Object<RoomActor<Host>> {
        let mut rooms = self.rooms.borrow_mut();
        let room = rooms.entry(room_id.to_owned());
        room.or_insert_with(|| self.room_object(room_id, Host::new(self.host(true)))).clone()
    }

    fn user(self: &Rc<Self>, user_id: &UserId) -> Object<UserActor<Host>> {
        let mut users = self.users.borrow_mut();
        let user = users.entry(user_id.to_owned());
        let made = || {
            let host = Host::new(self.host(false));
            // Whoever is in a room has signed in once.
            SCHEMA.create(host.sql()).expect("the tables are made");
            self.user_object(user_id, host)
        };
        user.or_insert_with(made).clone()
    }

    fn relay(self: &Rc<Self>, name: String) -> Rc<RelayActor<Host>> {
        let mut relays = self.relays.borrow_mut();
        let actor = |name| RelayActor::new(Host::new(self.host(false)), name, self.config.limits.relay_above);
        Rc::clone(relays.entry(name.clone()).or_insert_with(|| Rc::new(actor(name))))
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
    }

    async fn exchange(self: &Rc<Self>, target: Target, bytes: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        match target {
            Target::Storage => {
                self.count(|tally| tally.storage += 1);
                yield_once().await;
                let reply = self.storage.answer(&bytes).await;
                drop(self.storage.d1.take_batches());
                Ok(reply)
            }
            Target::Room(room_id) => self.ask_room(&room_id, &bytes).await,
            Target::User(user_id) => match self.ask_user(&user_id, &bytes).await? {
                PollReply::Answer(reply) => Ok(reply),
                PollReply::Waiting { .. } => Err(Unreachable("a question was parked that cannot be".to_owned())),
            },
            Target::Relay(name) => self.ask_relay(name, bytes).await,
            Target::Destination(_) | Target::Service(_) => {
                self.count(|tally| tally.hops += 1);
                yield_once().await;
                Ok(frame::write_reply(&Ok(Done {})))
            }
            Target::OneTimeStore(_) | Target::DeviceSignIn(_) => {
                Err(Unreachable("nothing measured here needs it".to_owned()))
            }
        }
    }

    async fn ask_room(self: &Rc<Self>, room_id: &RoomId, bytes: &[u8]) -> Result<Vec<u8>, Unreachable> {
        self.count(|tally| tally.hops += 1);
        yield_once().await;
        let room = self.room(room_id);
        let command: RoomCommand = frame::read(bytes).map_err(|error| Unreachable(error.to_string()))?;
        let reply = room.actor.handle(command).await;
        room.host.open_gate();
        Ok(reply)
    }

    async fn ask_relay(self: &Rc<Self>, name: String, bytes: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.count(|tally| tally.hops += 1);
        yield_once().await;
        let relay = self.relay(name);
        let command: RelayCommand = frame::read(&bytes).map_err(|error| Unreachable(error.to_string()))?;
        drop(bytes);
        Ok(relay.handle(command).await)
    }

    async fn ask_user(self: &Rc<Self>, user_id: &UserId, bytes: &[u8]) -> Result<PollReply<host::Poll>, Unreachable> {
        self.count(|tally| tally.hops += 1);
        yield_once().await;
        if user_id.localpart().starts_with(LISTENER) {
            return Ok(PollReply::Answer(frame::write_reply(&Ok(Done {}))));
        }
        let user = self.user(user_id);
        let command: UserCommand = frame::read(bytes).map_err(|error| Unreachable(error.to_string()))?;
        let handled = user.actor.handle(command).await;
        user.host.open_gate();
        Ok(match handled {
            Handled::Reply(reply) => PollReply::Answer(reply),
            Handled::Hold { device_id, kinds, timeout_response } => {
                let attachment = Attachment { device_id: device_id.into(), kinds, question: Some(bytes.to_vec()) };
                PollReply::Waiting { socket: user.host.hold(attachment), timeout_response: Some(timeout_response) }
            }
        })
    }

    fn next_alarm(&self) -> Option<Millis> {
        let rooms = self.rooms.borrow().values().filter_map(|room| room.host.alarm()).min();
        let users = self.users.borrow().values().filter_map(|user| user.host.alarm()).min();
        rooms.into_iter().chain(users).min()
    }

    /// Lets every alarm ring that is due.
    fn ring(&self) {
        let due = |host: &Host| host.take_due_alarm();
        let rooms: Vec<_> = self.rooms.borrow().values().filter(|room| due(&room.host)).cloned().collect();
        let users: Vec<_> = self.users.borrow().values().filter(|user| due(&user.host)).cloned().collect();
        for room in rooms {
            self.count(|tally| tally.alarms += 1);
            self.executor.run(room.actor.alarm());
            room.host.open_gate();
        }
        for user in users {
            self.count(|tally| tally.alarms += 1);
            self.executor.run(user.actor.alarm());
            user.host.open_gate();
        }
    }

    /// Moves time on to the next timer of the edge.
    fn pass_time(&self) -> bool {
        let Some(next) = self.timers.borrow().iter().map(|(at, _)| *at).min() else { return false };
        self.clock.advance_to(next);
        let due: Vec<_> = self.timers.borrow_mut().extract_if(.., |(at, _)| *at <= next).collect();
        for (_, waker) in due {
            waker.wake();
        }
        true
    }
}

/// The cluster as objects see it; it owns them, so they must not own it.
struct Wires {
    parts: Weak<Parts>,
    of_room: bool,
}

impl Network for Wires {
    fn exchange(&self, target: Target, frame: Vec<u8>) -> Exchange {
        let parts = self.parts.upgrade().expect("the cluster outlives its objects");
        if self.of_room && target != Target::Storage {
            parts.count(|tally| tally.room_hops += 1);
        }
        async move { parts.exchange(target, frame).await }.boxed_local()
    }
}

/// The cluster as the edge sees it.
impl Transport for Cluster {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.0.exchange(target.clone(), frame).await
    }

    fn standing(&self) -> Standing {
        Standing::Nobody
    }
}

impl Clock for Cluster {
    fn now(&self) -> Millis {
        self.0.clock.now()
    }
}

impl Entropy for Cluster {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.entropy.fill(bytes);
    }
}

impl Polls for Cluster {
    type Socket = host::Poll;

    async fn ask(&self, user_id: &UserId, frame: Vec<u8>) -> Result<PollReply<host::Poll>, Unreachable> {
        self.0.ask_user(user_id, &frame).await
    }

    async fn sleep(&self, ms: u64) {
        let at = self.now().plus(ms);
        poll_fn(|context| {
            if self.now() >= at {
                return Poll::Ready(());
            }
            self.0.timers.borrow_mut().push((at, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
