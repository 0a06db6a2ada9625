//! A Durable Object without the platform.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    rc::Rc,
    task::Poll,
};

use futures::future::LocalBoxFuture;
use tern_model::Millis;
use tern_ports::{
    Attachment, Clock, Entropy, ObjectHost, Outbound, Spawn, Target, Transport, Unreachable, WaitingPolls,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::policy::Standing,
};

use crate::{Executor, Gateway, Network, Nowhere, SeededEntropy, Sqlite, TestClock, executor::yield_once};

/// One call of `WaitingPolls::take`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Of this device only.
    pub device_id: Option<String>,
    /// Bits of `tern_model::news`.
    pub kinds: u32,
}

/// Hosts one actor. Its parts are public so that a test can share them between hosts and look into them; build others
/// with struct update syntax: `TestHost { network, ..TestHost::default() }`.
pub struct TestHost {
    /// Time.
    pub clock: TestClock,
    /// Randomness.
    pub entropy: SeededEntropy,
    /// The object's own SQLite. A second host on the same one is the object after a restart.
    pub sqlite: Rc<Sqlite>,
    /// Runs spawned work.
    pub executor: Executor,
    /// Carries frames.
    pub network: Rc<dyn Network>,
    /// Every server that is not ours.
    pub gateway: Gateway,
    /// The time last given to `set_alarm`.
    pub alarm: Cell<Option<Millis>>,
    /// What was woken.
    pub wakes: RefCell<Vec<Wake>>,
}

impl Default for TestHost {
    fn default() -> Self {
        Self {
            clock: TestClock::default(),
            entropy: SeededEntropy::new(1),
            sqlite: Rc::new(Sqlite::memory()),
            executor: Executor::new(),
            network: Rc::new(Nowhere),
            gateway: Gateway::default(),
            alarm: Cell::new(None),
            wakes: RefCell::default(),
        }
    }
}

impl TestHost {
    /// A host with an empty database, from which nobody can be reached.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// A host with an empty database on `network`.
    pub fn on(network: Rc<dyn Network>) -> Rc<Self> {
        Rc::new(Self { network, ..Self::default() })
    }

    /// The same object after an eviction: same database, clock, network and executor, nothing in memory, alarm kept.
    #[must_use]
    pub fn restarted(&self) -> Rc<Self> {
        Rc::new(Self {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            sqlite: Rc::clone(&self.sqlite),
            executor: self.executor.clone(),
            network: Rc::clone(&self.network),
            gateway: self.gateway.clone(),
            alarm: Cell::new(self.alarm.get()),
            wakes: RefCell::default(),
        })
    }

    /// The same object after a crash: as [`TestHost::restarted`], and what was not yet durable is lost.
    #[must_use]
    pub fn crashed(&self) -> Rc<Self> {
        self.sqlite.crash();
        self.restarted()
    }

    /// Runs `work`, and spawned work beside it, until `work` is done.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.executor.run(work)
    }

    /// Runs spawned work until nothing more can be done.
    pub fn settle(&self) {
        self.executor.settle();
    }

    /// The alarm, if it is due; it is then no longer set.
    pub fn due_alarm(&self) -> Option<Millis> {
        let due = self.alarm.get().filter(|at| *at <= self.clock.now())?;
        self.alarm.set(None);
        Some(due)
    }

    /// What was woken since this was last asked.
    pub fn take_wakes(&self) -> Vec<Wake> {
        self.wakes.take()
    }
}

impl Clock for TestHost {
    fn now(&self) -> Millis {
        self.clock.now()
    }
}

impl Entropy for TestHost {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }
}

impl Spawn for TestHost {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.executor.spawn(work);
    }

    async fn yield_now(&self) {
        yield_once().await;
    }

    /// Time is looked at whenever something else has happened: moving the clock alone wakes nobody.
    async fn sleep(&self, ms: u64) {
        let at = self.now().plus(ms);
        poll_fn(|_| if self.now() >= at { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Transport for TestHost {
    /// As on the platform, nothing leaves the object before what it has written is durable.
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.sqlite.make_durable();
        self.network.exchange(target.clone(), frame).await
    }

    fn standing(&self) -> Standing {
        Standing::Nobody
    }
}

impl Outbound for TestHost {
    fn reach(&self) -> Reach {
        Reach::Public
    }

    /// Leaves as everything else does.
    async fn exchange(&self, request: &HttpRequest, _: &Bounds) -> Result<HttpAnswer, HttpError> {
        self.sqlite.make_durable();
        yield_once().await;
        self.gateway.serve(request)
    }
}

/// Nothing ever waits here; what would be woken is noted.
impl WaitingPolls for TestHost {
    type PollSocket = ();

    fn take(&self, device_id: Option<&str>, kinds: u32) -> Vec<((), Attachment)> {
        let device_id = device_id.map(str::to_owned);
        self.wakes.borrow_mut().push(Wake { device_id, kinds });
        Vec::new()
    }

    fn keep(&self, (): (), _: Attachment) {}

    fn answer(&self, (): (), _: Option<Vec<u8>>) {}

    fn waiting_polls(&self) -> u64 {
        0
    }
}

impl ObjectHost for TestHost {
    type Sql = Sqlite;

    fn sql(&self) -> &Sqlite {
        &self.sqlite
    }

    async fn synced(&self) {
        yield_once().await;
        self.sqlite.make_durable();
    }

    async fn set_alarm(&self, at: Millis) {
        self.alarm.set(Some(at));
    }
}
