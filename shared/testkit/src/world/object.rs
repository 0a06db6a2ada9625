//! A Durable Object of the simulated cluster: a database and an alarm that last, sockets, and a life in memory that may
//! end at any step.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use futures::{channel::oneshot, future::LocalBoxFuture};
use tern_model::{Millis, RawJson};
use tern_ports::{
    Attachment, Clock, Entropy, ObjectHost, Outbound, Spawn, Target, Transport, Unreachable, WaitingPolls,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::{frame, policy::Standing},
};
use tern_room_hub::RoomActor;
use tern_small_objects::{destination::DestinationActor, relay::RelayActor};
use tern_user_hub::{Handled, UserActor};

use super::Cluster;
use crate::{
    Sqlite,
    executor::{TaskId, yield_once},
};

/// How long the platform waits before it repeats an alarm that failed.
const ALARM_RETRY_MS: u64 = 2_000;

/// What an object answers to a request.
pub(super) enum Answer {
    /// A reply frame.
    Reply(Vec<u8>),
    /// The question waits: where its answer comes, and the answer if none comes in time.
    Waiting(oneshot::Receiver<Option<Vec<u8>>>, RawJson),
}

struct Socket {
    attachment: Attachment,
    poll_socket: PollSocket,
}

/// The hub's end of a waiting socket.
pub(super) struct PollSocket(oneshot::Sender<Option<Vec<u8>>>);

/// An object and what it leaves behind between lives.
pub(super) struct Object {
    target: Target,
    cluster: Weak<Cluster>,
    pub(super) sqlite: Sqlite,
    /// The alarm as this life has set it, and as it survives a crash.
    alarm: Cell<Option<Millis>>,
    durable_alarm: Cell<Option<Millis>>,
    sockets: RefCell<Vec<Socket>>,
    life: RefCell<Option<Life>>,
    /// How often an actor was built.
    pub(super) lives: Cell<u64>,
    /// How often its alarm has rung.
    pub(super) rings: Cell<u64>,
}

struct Life {
    host: Rc<LifeHost>,
    actor: Actor,
}

#[derive(Clone)]
enum Actor {
    Room(Rc<RoomActor<LifeHost>>),
    User(Rc<UserActor<LifeHost>>),
    Relay(Rc<RelayActor<LifeHost>>),
    Destination(Rc<DestinationActor<LifeHost>>),
}

impl Object {
    pub(super) fn new(target: Target, cluster: &Rc<Cluster>) -> Rc<Self> {
        Rc::new(Self {
            target,
            cluster: Rc::downgrade(cluster),
            sqlite: Sqlite::memory(),
            alarm: Cell::default(),
            durable_alarm: Cell::default(),
            sockets: RefCell::default(),
            life: RefCell::default(),
            lives: Cell::default(),
            rings: Cell::default(),
        })
    }

    /// Hands the object a request. The answer never comes when the object crashes first.
    pub(super) fn receive(self: &Rc<Self>, bytes: Vec<u8>) -> oneshot::Receiver<Answer> {
        let (done, answer) = oneshot::channel();
        let (host, actor) = self.wake_up();
        let object = Rc::clone(self);
        let life = Rc::clone(&host);
        host.start(Box::pin(async move {
            let answer = match actor.handle(&bytes).await {
                Ok(Handled::Reply(reply)) => {
                    life.gate().await;
                    Answer::Reply(reply)
                }
                Ok(Handled::Hold { device_id, kinds, timeout_response }) => {
                    let (poll_socket, woken) = oneshot::channel();
                    let attachment = Attachment { device_id: device_id.into(), kinds, question: Some(bytes) };
                    object.sockets.borrow_mut().push(Socket { attachment, poll_socket: PollSocket(poll_socket) });
                    Answer::Waiting(woken, timeout_response)
                }
                Err(error) => Answer::Reply(frame::write_reply::<()>(&Err(error.into()))),
            };
            // Whoever asked may be gone.
            drop(done.send(answer));
        }));
        answer
    }

    /// The time of the alarm.
    pub(super) fn alarm(&self) -> Option<Millis> {
        self.alarm.get()
    }

    /// Runs the alarm handler.
    pub(super) fn ring(self: &Rc<Self>) {
        self.alarm.set(None);
        self.rings.set(self.rings.get() + 1);
        self.flush();
        let (host, actor) = self.wake_up();
        let life = Rc::clone(&host);
        let task = host.start(Box::pin(async move {
            actor.alarm().await;
            life.gate().await;
            life.ringing.set(None);
        }));
        host.ringing.set(task);
    }

    /// Ends the life at once and loses what was not durable. Sockets break.
    pub(super) fn crash(&self) {
        let Some(life) = self.life.take() else { return };
        let ringing = life.host.ringing.get();
        life.host.end();
        drop(life);
        self.sqlite.crash();
        self.alarm.set(self.durable_alarm.get());
        self.sockets.take();
        if let (Some(_), None, Some(cluster)) = (ringing, self.alarm.get(), self.cluster.upgrade()) {
            self.alarm.set(Some(cluster.clock.now().plus(ALARM_RETRY_MS)));
            self.durable_alarm.set(self.alarm.get());
        }
    }

    /// Drops the actor from memory if it has nothing to do.
    pub(super) fn evict(&self) {
        let idle = self.life.borrow().as_ref().is_some_and(|life| life.host.is_idle());
        if idle && let Some(life) = self.life.take() {
            self.flush();
            life.host.end();
        }
    }

    /// An actor is in memory.
    pub(super) fn is_alive(&self) -> bool {
        self.life.borrow().is_some()
    }

    fn flush(&self) {
        self.sqlite.make_durable();
        self.durable_alarm.set(self.alarm.get());
    }

    fn wake_up(self: &Rc<Self>) -> (Rc<LifeHost>, Actor) {
        let mut life = self.life.borrow_mut();
        let life = life.get_or_insert_with(|| {
            self.lives.set(self.lives.get() + 1);
            let host = Rc::new(LifeHost {
                object: Rc::clone(self),
                alive: Cell::new(true),
                tasks: RefCell::default(),
                ringing: Cell::default(),
            });
            Life { actor: Actor::new(&host), host }
        });
        (Rc::clone(&life.host), life.actor.clone())
    }
}

impl Actor {
    fn new(host: &Rc<LifeHost>) -> Self {
        let config = Rc::clone(&host.cluster().config);
        match &host.object.target {
            Target::Room(room_id) => Self::Room(Rc::new(RoomActor::new(Rc::clone(host), config, room_id.clone()))),
            Target::User(user_id) => Self::User(Rc::new(UserActor::new(Rc::clone(host), config, user_id.clone()))),
            Target::Relay(name) => {
                Self::Relay(Rc::new(RelayActor::new(Rc::clone(host), name.clone(), config.limits.relay_above)))
            }
            Target::Destination(name) => Self::Destination(
                DestinationActor::new(Rc::clone(host), config, name.as_str()).expect("the name is one of a server"),
            ),
            Target::Service(id) => Self::Destination(
                DestinationActor::of_service(Rc::clone(host), config, id.clone()).expect("this server has a name"),
            ),
            Target::Storage | Target::OneTimeStore(_) | Target::DeviceSignIn(_) => {
                unreachable!("not part of this world")
            }
        }
    }

    async fn handle(&self, bytes: &[u8]) -> Result<Handled, frame::FrameError> {
        match self {
            Self::Room(actor) => Ok(Handled::Reply(actor.handle(frame::read(bytes)?).await)),
            Self::User(actor) => Ok(actor.handle(frame::read(bytes)?).await),
            Self::Relay(actor) => Ok(Handled::Reply(actor.handle(frame::read(bytes)?).await)),
            Self::Destination(actor) => Ok(Handled::Reply(actor.handle(frame::read(bytes)?).await)),
        }
    }

    async fn alarm(&self) {
        match self {
            Self::Room(actor) => actor.alarm().await,
            Self::User(actor) => actor.alarm().await,
            Self::Destination(actor) => actor.alarm().await,
            Self::Relay(_) => unreachable!("a relay sets no alarm"),
        }
    }
}

/// The host of one life.
pub(super) struct LifeHost {
    object: Rc<Object>,
    alive: Cell<bool>,
    tasks: RefCell<Vec<TaskId>>,
    /// The task that runs the alarm handler.
    ringing: Cell<Option<TaskId>>,
}

impl LifeHost {
    fn cluster(&self) -> Rc<Cluster> {
        self.object.cluster.upgrade().expect("the world outlives its objects")
    }

    fn start(&self, work: LocalBoxFuture<'static, ()>) -> Option<TaskId> {
        // A destructor of a life that has ended may still try.
        if !self.alive.get() {
            return None;
        }
        let executor = &self.cluster().executor;
        let task = executor.spawn(work);
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|task| executor.has(*task));
        tasks.push(task);
        Some(task)
    }

    fn is_idle(&self) -> bool {
        let executor = &self.cluster().executor;
        !self.tasks.borrow().iter().any(|task| executor.has(*task))
    }

    fn end(&self) {
        self.alive.set(false);
        for task in self.tasks.take() {
            self.cluster().executor.kill(task);
        }
    }

    /// The output gate: nothing leaves the object before everything written is durable.
    async fn gate(&self) {
        yield_once().await;
        self.object.flush();
    }
}

impl Clock for LifeHost {
    fn now(&self) -> Millis {
        self.cluster().clock.now()
    }
}

impl Entropy for LifeHost {
    fn fill(&self, bytes: &mut [u8]) {
        self.cluster().random.fill(bytes);
    }
}

impl Spawn for LifeHost {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.start(work);
    }

    async fn yield_now(&self) {
        yield_once().await;
    }

    async fn sleep(&self, ms: u64) {
        self.cluster().sleep(ms).await;
    }
}

impl Transport for LifeHost {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.gate().await;
        self.cluster().exchange(target.clone(), frame).await
    }

    fn standing(&self) -> Standing {
        Standing::Nobody
    }
}

impl Outbound for LifeHost {
    fn reach(&self) -> Reach {
        Reach::Public
    }

    async fn exchange(&self, request: &HttpRequest, _: &Bounds) -> Result<HttpAnswer, HttpError> {
        self.gate().await;
        self.cluster().ask_gateway(request).await
    }
}

impl WaitingPolls for LifeHost {
    type PollSocket = PollSocket;

    fn take(&self, device_id: Option<&str>, kinds: u32) -> Vec<(PollSocket, Attachment)> {
        let wanted = |socket: &mut Socket| {
            let attachment = &socket.attachment;
            attachment.kinds & kinds != 0 && device_id.is_none_or(|device_id| attachment.device_id == device_id)
        };
        let mut sockets = self.object.sockets.borrow_mut();
        sockets.retain(|socket| !socket.poll_socket.0.is_canceled());
        sockets.extract_if(.., wanted).map(|socket| (socket.poll_socket, socket.attachment)).collect()
    }

    fn keep(&self, poll_socket: PollSocket, attachment: Attachment) {
        self.object.sockets.borrow_mut().push(Socket { attachment, poll_socket });
    }

    /// Leaves through the output gate, like everything else.
    fn answer(&self, poll_socket: PollSocket, reply: Option<Vec<u8>>) {
        let object = Rc::clone(&self.object);
        self.start(Box::pin(async move {
            yield_once().await;
            object.flush();
            // A poll that has gone does not mind.
            drop(poll_socket.0.send(reply));
        }));
    }

    fn waiting_polls(&self) -> u64 {
        self.object.sockets.borrow().iter().filter(|socket| !socket.poll_socket.0.is_canceled()).count() as u64
    }
}

impl ObjectHost for LifeHost {
    type Sql = Sqlite;

    fn sql(&self) -> &Sqlite {
        &self.object.sqlite
    }

    async fn synced(&self) {
        self.gate().await;
    }

    async fn set_alarm(&self, at: Millis) {
        self.object.alarm.set(Some(at));
    }
}
