//! An object of another server, with the web, the storage worker and a peer.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures::future::{LocalBoxFuture, pending};
use ruma::OwnedServerName;
use tern_model::{Config, Federation, Millis};
use tern_ports::{
    Clock, Entropy, ObjectHost, Outbound, Spawn, Target, Transport, Unreachable,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::policy::Standing,
};
use tern_small_objects::destination::DestinationActor;
use tern_testkit::{
    Executor, Sqlite, StorageNode, TestWeb,
    executor::{TaskId, yield_once},
    web::Page,
    world::config,
};

pub(crate) const NOW: Millis = Millis(1_000_000_000);
pub(crate) const DAY: u64 = 86_400_000;

/// What the other server does with a request; nothing where it is a page of the web.
pub(crate) type Peer = dyn Fn(&HttpRequest) -> Option<Result<Page, HttpError>>;
/// What a room's hub answers.
pub(crate) type Rooms = dyn Fn(&Target, &[u8]) -> Result<Vec<u8>, Unreachable>;

/// What an object of a server has: the web, the time, the way to the other parts, its database and alarm.
pub(crate) struct Host {
    pub(crate) web: TestWeb,
    pub(crate) storage: Rc<StorageNode>,
    pub(crate) executor: Executor,
    pub(crate) sqlite: Sqlite,
    pub(crate) alarm: Cell<Option<Millis>>,
    /// How often it was asked for.
    pub(crate) alarms: Cell<u32>,
    pub(crate) peer: RefCell<Option<Rc<Peer>>>,
    pub(crate) rooms: RefCell<Option<Rc<Rooms>>>,
    tasks: RefCell<Vec<TaskId>>,
}

/// What a peer gives for an answer that never comes.
pub(crate) const NEVER: HttpError = HttpError::Refused("never");

impl Host {
    fn of(pages: Vec<(&'static str, Page)>) -> Rc<Self> {
        let web = TestWeb::of(pages);
        web.clock.advance_to(NOW);
        Rc::new(Self {
            web,
            storage: StorageNode::new(),
            executor: Executor::new(),
            sqlite: Sqlite::memory(),
            alarm: Cell::default(),
            alarms: Cell::default(),
            peer: RefCell::default(),
            rooms: RefCell::default(),
            tasks: RefCell::default(),
        })
    }
}

impl Clock for Host {
    fn now(&self) -> Millis {
        self.web.now()
    }
}

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        self.web.fill(bytes);
    }
}

impl Outbound for Host {
    fn reach(&self) -> Reach {
        self.web.reach()
    }

    async fn exchange(&self, request: &HttpRequest, bounds: &Bounds) -> Result<HttpAnswer, HttpError> {
        self.sqlite.make_durable();
        let peer = self.peer.borrow().clone();
        let Some(answer) = peer.and_then(|peer| peer(request)) else {
            return Outbound::exchange(&self.web, request, bounds).await;
        };
        yield_once().await;
        self.web.asked.borrow_mut().push(request.clone());
        if answer == Err(NEVER) {
            return pending().await;
        }
        let Page { status, headers, body } = answer?;
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(HttpAnswer { url: request.url.clone(), status, headers, body, is_cut: false })
    }
}

impl Transport for Host {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.sqlite.make_durable();
        if *target == Target::Storage {
            return Ok(self.storage.answer(&frame).await);
        }
        yield_once().await;
        let rooms = self.rooms.borrow().clone();
        rooms.map_or_else(|| panic!("nobody else is asked"), |rooms| rooms(target, &frame))
    }

    fn standing(&self) -> Standing {
        Standing::Nobody
    }
}

impl Spawn for Host {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.tasks.borrow_mut().push(self.executor.spawn(work));
    }

    async fn yield_now(&self) {
        yield_once().await;
    }

    /// Nobody is so late that it would be over.
    async fn sleep(&self, _: u64) {
        pending::<()>().await;
    }
}

impl ObjectHost for Host {
    type Sql = Sqlite;

    fn sql(&self) -> &Sqlite {
        &self.sqlite
    }

    async fn synced(&self) {
        yield_once().await;
        self.sqlite.make_durable();
    }

    async fn set_alarm(&self, at: Millis) {
        self.alarms.set(self.alarms.get() + 1);
        self.alarm.set(Some(at));
    }
}

pub(crate) struct Scene {
    pub(crate) host: Rc<Host>,
    pub(crate) actor: Rc<DestinationActor<Host>>,
    pub(crate) config: Rc<Config>,
    name: String,
    of_service: bool,
}

impl Scene {
    /// The object of the application service of this id.
    pub(crate) fn of_service(id: &str, config: Config) -> Self {
        let (host, config) = (Host::of(Vec::new()), Rc::new(config));
        let actor = DestinationActor::of_service(Rc::clone(&host), Rc::clone(&config), id.to_owned()).unwrap();
        Self { host, actor, config, name: id.to_owned(), of_service: true }
    }

    /// The object lives again, from its database alone.
    pub(crate) fn revive(&mut self) {
        let (host, config) = (Rc::clone(&self.host), Rc::clone(&self.config));
        self.actor = if self.of_service {
            DestinationActor::of_service(host, config, self.name.clone()).unwrap()
        } else {
            DestinationActor::new(host, config, &self.name).unwrap()
        };
    }

    pub(crate) fn new(name: &str, pages: Vec<(&'static str, Page)>, notaries: &[&str]) -> Self {
        let notaries = notaries.iter().map(|name| OwnedServerName::try_from(*name).unwrap()).collect();
        let federation = Federation { notaries, ..Federation::default() };
        Self::with(name, pages, Config { federation, ..config() })
    }

    pub(crate) fn with(name: &str, pages: Vec<(&'static str, Page)>, config: Config) -> Self {
        let (host, config) = (Host::of(pages), Rc::new(config));
        let actor = DestinationActor::new(Rc::clone(&host), Rc::clone(&config), name).unwrap();
        Self { host, actor, config, name: name.to_owned(), of_service: false }
    }

    /// The object's memory is lost, and what it has not made durable.
    pub(crate) fn crash(&mut self) {
        self.host.tasks.take().into_iter().for_each(|task| self.host.executor.kill(task));
        self.host.sqlite.crash();
        self.revive();
    }

    /// Time goes by, and with it alarms.
    pub(crate) fn pass(&self, ms: u64) {
        let end = self.host.now().plus(ms);
        self.host.executor.settle();
        while let Some(at) = self.host.alarm.get().filter(|at| *at <= end) {
            self.host.alarm.set(None);
            self.host.web.clock.advance_to(at.max(self.host.now()));
            self.host.executor.run(self.actor.alarm());
            self.host.executor.settle();
        }
        self.host.web.clock.advance_to(end);
        self.host.sqlite.make_durable();
    }

    /// What the other server does from now on.
    pub(crate) fn peer(&self, peer: impl Fn(&HttpRequest) -> Option<Result<Page, HttpError>> + 'static) {
        self.host.peer.replace(Some(Rc::new(peer)));
    }

    /// What was asked since this was last asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.url.to_string()).collect()
    }

    /// The requests since this was last asked for.
    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        self.host.web.asked.take()
    }
}

/// The actor in an object of this name.
pub(crate) fn actor_named(name: &str) -> Result<Rc<DestinationActor<Host>>, String> {
    DestinationActor::new(Host::of(Vec::new()), Rc::new(config()), name)
}
