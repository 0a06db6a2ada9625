//! A whole cluster in one process: the real actors of rooms and users, the real storage commands on SQLite, and between
//! them a network on which anything may go wrong. Time is virtual, every choice is drawn from one seed: a failure repeats.
//!
//! What is simulated of the platform: an object's writes become durable before anything leaves it (output gate), an object
//! may vanish at every await and start again from its database, an idle one is evicted while its waiting sockets stay,
//! alarms fire at least once, a request that fails may or may not have been carried out.

mod client;
mod faults;
mod figures;
mod object;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    rc::Rc,
    task::{Poll, Waker},
};

use ruma::{OwnedServerName, RoomId, UserId};
use tern_model::{Accounts, Config, Limits, Millis};
use tern_ports::{
    Clock, Entropy, PollReply, Polls, Sql, Target, Transport, Unreachable, WaitingPoll, ask_room,
    outbound::{HttpAnswer, HttpError, HttpRequest},
    platform_limits::check_frame,
    wire::{
        policy::Standing,
        room::{ProbeRoom, RoomProbe},
    },
};

pub use client::{Client, Reader};
pub use faults::Faults;
pub use figures::{Held, Work};

use self::object::{Answer, Object};
use crate::{Executor, Gateway, SeededEntropy, Sqlite, StorageNode, TestClock, executor::yield_once};

/// After this time nobody waits for an answer any more.
const STUCK_MS: u64 = 3 * 60 * 60 * 1_000;

/// The simulated cluster. Clones are the same one.
#[derive(Clone)]
pub struct World(Rc<Cluster>);

struct Cluster {
    executor: Executor,
    clock: TestClock,
    random: SeededEntropy,
    config: Rc<Config>,
    storage: Rc<StorageNode>,
    gateway: Gateway,
    objects: RefCell<BTreeMap<Target, Rc<Object>>>,
    timers: RefCell<Vec<(Millis, Waker)>>,
    faults: RefCell<Faults>,
    crashes: Cell<u64>,
    exchanges: Cell<u64>,
}

impl World {
    /// A cluster without faults, all of whose choices follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Limits::default())
    }

    /// As [`World::new`], with other limits.
    pub fn with(seed: u64, limits: Limits) -> Self {
        let random = SeededEntropy::new(seed);
        let cluster = Rc::new(Cluster {
            executor: Executor::shuffled(random.clone()),
            clock: TestClock::default(),
            random,
            config: Rc::new(Config { limits, ..config() }),
            storage: StorageNode::new(),
            gateway: Gateway::default(),
            objects: RefCell::default(),
            timers: RefCell::default(),
            faults: RefCell::default(),
            crashes: Cell::default(),
            exchanges: Cell::default(),
        });
        let weak = Rc::downgrade(&cluster);
        cluster.executor.before_each_step(move || {
            if let Some(cluster) = weak.upgrade() {
                cluster.strike();
            }
        });
        Self(cluster)
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.storage.d1.outage.set(faults.storage_outage);
        self.0.faults.replace(faults);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.set_faults(Faults::default());
    }

    /// Signs a user in on a new device.
    ///
    /// # Panics
    /// When that fails; do it before anything goes wrong.
    pub fn sign_in(&self, name: &str) -> Client {
        self.run(Client::sign_in(self, name))
    }

    /// Runs `work` and the cluster until `work` is done, moving time on when nobody can do anything.
    ///
    /// # Panics
    /// When `work` waits for something that cannot happen.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.executor.run_with(work, || self.0.pass_time(None))
    }

    /// Adds a task that runs whenever the cluster does.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(Box::pin(work));
    }

    /// Runs the cluster for `ms` milliseconds of its time.
    pub fn pass(&self, ms: u64) {
        let end = self.0.clock.now().plus(ms);
        self.0.executor.settle();
        while self.0.pass_time(Some(end)) {
            self.0.executor.settle();
        }
        self.0.clock.advance_to(end);
    }

    /// Resolves after `ms` milliseconds of the cluster's time.
    pub async fn sleep(&self, ms: u64) {
        self.0.sleep(ms).await;
    }

    /// Crashes one object now.
    pub fn crash(&self, target: &Target) {
        let object = self.0.objects.borrow().get(target).cloned();
        if let Some(object) = object {
            object.crash();
        }
    }

    /// Evicts every idle object from memory.
    pub fn evict_all(&self) {
        for object in self.0.objects.borrow().values() {
            object.evict();
        }
    }

    /// How often an object's actor was built.
    pub fn lives(&self, target: &Target) -> u64 {
        self.0.objects.borrow().get(target).map_or(0, |object| object.lives.get())
    }

    /// Rows written so far by an object, as they are billed.
    pub fn rows_written(&self, target: &Target) -> u64 {
        self.0.objects.borrow().get(target).map_or(0, |object| object.sqlite.rows_written())
    }

    /// The tables of an object that hold a text.
    pub fn find_text(&self, target: &Target, text: &str) -> Vec<String> {
        self.0.objects.borrow().get(target).map_or_else(Vec::new, |object| object.sqlite.find_text(text))
    }

    /// Looks into the database of an object, or writes to it from outside.
    pub fn database<T>(&self, target: &Target, work: impl FnOnce(&Sqlite) -> T) -> T {
        let object = self.0.object(target);
        let result = work(&object.sqlite);
        object.sqlite.make_durable();
        result
    }

    /// Crashes so far.
    pub fn crashes(&self) -> u64 {
        self.0.crashes.get()
    }

    /// Messages between parts so far.
    pub fn exchanges(&self) -> u64 {
        self.0.exchanges.get()
    }

    /// The figures of a room.
    ///
    /// # Panics
    /// When its hub cannot be reached.
    pub fn probe_room(&self, room_id: &RoomId) -> RoomProbe {
        self.run(ask_room(self, room_id, ProbeRoom {})).expect("the room's hub answers")
    }

    /// The storage worker.
    pub fn storage(&self) -> &Rc<StorageNode> {
        &self.0.storage
    }

    /// Every server that is not ours.
    pub fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    /// The configuration of every part.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The cluster's randomness.
    pub fn random(&self) -> &SeededEntropy {
        &self.0.random
    }
}

/// The configuration of a server of the simulator.
pub fn config() -> Config {
    Config {
        server_name: OwnedServerName::try_from("tern.test").expect("the name is valid"),
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

impl Cluster {
    /// Carries a frame to a part and its answer back, if the day allows.
    async fn exchange(self: &Rc<Self>, target: Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        check_frame(&frame)?;
        match self.carry(target, frame).await? {
            Answer::Reply(reply) => check_frame(&reply).map(|()| reply),
            Answer::Waiting(..) => Err(Unreachable("a question was parked that cannot be".to_owned())),
        }
    }

    async fn carry(self: &Rc<Self>, target: Target, frame: Vec<u8>) -> Result<Answer, Unreachable> {
        self.exchanges.set(self.exchanges.get() + 1);
        let faults = self.faults.borrow().clone();
        self.delay(&faults).await;
        if faults.unreachable.contains(&target) || self.random.chance(faults.lost_requests) {
            return Err(Unreachable("lost on the way there".to_owned()));
        }
        if faults.stuck.contains(&target) {
            self.sleep(STUCK_MS).await;
            return Err(Unreachable("no answer came".to_owned()));
        }
        if self.random.chance(faults.repeated) {
            self.repeat(&target, &frame);
        }
        let answer = if target == Target::Storage {
            Answer::Reply(self.storage.answer(&frame).await)
        } else {
            let reset = |_| Unreachable("the object was reset".to_owned());
            self.object(&target).receive(frame).await.map_err(reset)?
        };
        self.delay(&faults).await;
        if self.random.chance(faults.lost_replies) {
            return Err(Unreachable("lost on the way back".to_owned()));
        }
        Ok(answer)
    }

    /// Asks a server that is not ours, as far as the day allows.
    async fn ask_gateway(self: &Rc<Self>, request: &HttpRequest) -> Result<HttpAnswer, HttpError> {
        let faults = self.faults.borrow().clone();
        self.delay(&faults).await;
        if self.random.chance(faults.lost_requests) {
            return Err(HttpError::Unreachable("lost on the way there".to_owned()));
        }
        let answer = self.gateway.serve(request);
        self.delay(&faults).await;
        if self.random.chance(faults.lost_replies) {
            return Err(HttpError::Late);
        }
        answer
    }

    /// The same request once more; nobody hears the answer.
    fn repeat(self: &Rc<Self>, target: &Target, frame: &[u8]) {
        if *target == Target::Storage {
            let (storage, frame) = (Rc::clone(&self.storage), frame.to_vec());
            self.executor.spawn(Box::pin(async move { drop(storage.answer(&frame).await) }));
        } else {
            drop(self.object(target).receive(frame.to_vec()));
        }
    }

    async fn delay(&self, faults: &Faults) {
        yield_once().await;
        if faults.latency_ms > 0 {
            self.sleep(self.random.below(faults.latency_ms) as u64).await;
        }
    }

    fn object(self: &Rc<Self>, target: &Target) -> Rc<Object> {
        let mut objects = self.objects.borrow_mut();
        Rc::clone(objects.entry(target.clone()).or_insert_with(|| Object::new(target.clone(), self)))
    }

    /// Before each step of the executor: perhaps something breaks.
    fn strike(&self) {
        let (crashes, evictions) = {
            let faults = self.faults.borrow();
            (faults.crashes, faults.evictions)
        };
        let struck = |chance: usize| chance > 0 && self.random.below(10_000) < chance;
        if struck(crashes)
            && let Some(object) = self.any_object()
        {
            self.crashes.set(self.crashes.get() + 1);
            object.crash();
        }
        if struck(evictions)
            && let Some(object) = self.any_object()
        {
            object.evict();
        }
    }

    fn any_object(&self) -> Option<Rc<Object>> {
        let objects = self.objects.borrow();
        let alive: Vec<_> = objects.values().filter(|object| object.is_alive()).collect();
        alive.get(self.random.below(alive.len())).map(|object| Rc::clone(object))
    }

    async fn sleep(&self, ms: u64) {
        let at = self.clock.now().plus(ms);
        poll_fn(|context| {
            if self.clock.now() >= at {
                return Poll::Ready(());
            }
            self.timers.borrow_mut().push((at, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Moves time on to the next timer or alarm, if there is one before `end`.
    fn pass_time(&self, end: Option<Millis>) -> bool {
        let objects: Vec<_> = self.objects.borrow().values().cloned().collect();
        let timers = self.timers.borrow().iter().map(|(at, _)| *at).min();
        let alarms = objects.iter().filter_map(|object| object.alarm()).min();
        let next = timers.into_iter().chain(alarms).min();
        let Some(next) = next.filter(|next| end.is_none_or(|end| *next <= end)) else { return false };
        self.clock.advance_to(next);
        let now = self.clock.now();
        let due: Vec<_> = self.timers.borrow_mut().extract_if(.., |(at, _)| *at <= now).collect();
        for (_, waker) in due {
            waker.wake();
        }
        for object in objects.iter().filter(|object| object.alarm().is_some_and(|at| at <= now)) {
            object.ring();
        }
        true
    }
}

/// The cluster as the proxy worker sees it.
impl Transport for World {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.0.exchange(target.clone(), frame).await
    }

    fn standing(&self) -> Standing {
        Standing::Nobody
    }
}

impl Clock for World {
    fn now(&self) -> Millis {
        self.0.clock.now()
    }
}

impl Entropy for World {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.random.fill(bytes);
    }
}

/// A waiting question.
pub struct WaitingQuestion(futures::channel::oneshot::Receiver<Option<Vec<u8>>>);

impl WaitingPoll for WaitingQuestion {
    async fn woken(&mut self) -> Option<Vec<u8>> {
        // A broken socket is a wake, too.
        (&mut self.0).await.ok().flatten()
    }
}

impl Polls for World {
    type Socket = WaitingQuestion;

    async fn ask(&self, user_id: &UserId, frame: Vec<u8>) -> Result<PollReply<WaitingQuestion>, Unreachable> {
        Ok(match self.0.carry(Target::User(user_id.to_owned()), frame).await? {
            Answer::Reply(reply) => PollReply::Answer(reply),
            Answer::Waiting(woken, timeout_response) => {
                PollReply::Waiting { socket: WaitingQuestion(woken), timeout_response: Some(timeout_response) }
            }
        })
    }

    async fn sleep(&self, ms: u64) {
        self.0.sleep(ms).await;
    }
}
