//! The host of one actor: the testkit's, with the writes of its alarm counted and its waiting polls kept.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures::{channel::oneshot, future::LocalBoxFuture};
use tern_model::Millis;
use tern_ports::{
    Attachment, Clock, Entropy, ObjectHost, Outbound, Spawn, Target, Transport, Unreachable, WaitingPoll, WaitingPolls,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::policy::Standing,
};
use tern_testkit::{Sqlite, TestHost};

/// Hosts one actor.
pub struct Host {
    inner: TestHost,
    alarms_set: Cell<u64>,
    gateway_asked: Cell<u64>,
    sockets: RefCell<Vec<Socket>>,
}

struct Socket {
    attachment: Attachment,
    poll_socket: PollSocket,
}

/// The hub's end of a waiting socket.
pub struct PollSocket(oneshot::Sender<Option<Vec<u8>>>);

/// A poll that waits for its answer.
pub struct Poll(oneshot::Receiver<Option<Vec<u8>>>);

impl WaitingPoll for Poll {
    async fn woken(&mut self) -> Option<Vec<u8>> {
        // A socket that breaks is a wake as well.
        (&mut self.0).await.ok().flatten()
    }
}

impl Host {
    pub(crate) fn new(inner: TestHost) -> Rc<Self> {
        Rc::new(Self {
            inner,
            alarms_set: Cell::default(),
            gateway_asked: Cell::default(),
            sockets: RefCell::default(),
        })
    }

    /// The object after it left memory. Waiting polls break.
    pub(crate) fn evicted(&self) -> Rc<Self> {
        self.inner.sqlite.make_durable();
        let inner = self.inner.restarted();
        let inner = Rc::into_inner(inner).expect("nobody else has seen it yet");
        let kept = |count: &Cell<u64>| Cell::new(count.get());
        let (alarms_set, gateway_asked) = (kept(&self.alarms_set), kept(&self.gateway_asked));
        Rc::new(Self { inner, alarms_set, gateway_asked, sockets: RefCell::default() })
    }

    /// Everything written so far is durable, as it is before an answer leaves.
    pub(crate) fn open_gate(&self) {
        self.inner.sqlite.make_durable();
    }

    pub(crate) fn hold(&self, attachment: Attachment) -> Poll {
        let (poll_socket, woken) = oneshot::channel();
        self.keep(PollSocket(poll_socket), attachment);
        Poll(woken)
    }

    pub(crate) fn alarm(&self) -> Option<Millis> {
        self.inner.alarm.get()
    }

    pub(crate) fn take_due_alarm(&self) -> bool {
        self.inner.due_alarm().is_some()
    }

    /// Requests to servers that are not ours so far.
    pub(crate) fn outbound(&self) -> u64 {
        self.gateway_asked.get()
    }

    /// Rows written so far. Setting an alarm is billed as one.
    pub(crate) fn rows_written(&self) -> u64 {
        tern_ports::Sql::rows_written(&*self.inner.sqlite) + self.alarms_set.get()
    }
}

impl Clock for Host {
    fn now(&self) -> Millis {
        self.inner.now()
    }
}

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        self.inner.fill(bytes);
    }
}

impl Spawn for Host {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.inner.spawn(work);
    }

    async fn yield_now(&self) {
        self.inner.yield_now().await;
    }

    /// Whoever is asked answers, so nobody's patience ends.
    async fn sleep(&self, _: u64) {
        std::future::pending::<()>().await;
    }
}

impl Transport for Host {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        Transport::exchange(&self.inner, target, frame).await
    }

    fn standing(&self) -> Standing {
        Standing::Nobody
    }
}

impl Outbound for Host {
    fn reach(&self) -> Reach {
        self.inner.reach()
    }

    async fn exchange(&self, request: &HttpRequest, bounds: &Bounds) -> Result<HttpAnswer, HttpError> {
        self.gateway_asked.set(self.gateway_asked.get() + 1);
        Outbound::exchange(&self.inner, request, bounds).await
    }
}

impl WaitingPolls for Host {
    type PollSocket = PollSocket;

    fn take(&self, device_id: Option<&str>, kinds: u32) -> Vec<(PollSocket, Attachment)> {
        let wanted = |socket: &mut Socket| {
            let attachment = &socket.attachment;
            attachment.kinds & kinds != 0 && device_id.is_none_or(|device_id| attachment.device_id == device_id)
        };
        let mut sockets = self.sockets.borrow_mut();
        sockets.retain(|socket| !socket.poll_socket.0.is_canceled());
        sockets.extract_if(.., wanted).map(|socket| (socket.poll_socket, socket.attachment)).collect()
    }

    fn keep(&self, poll_socket: PollSocket, attachment: Attachment) {
        self.sockets.borrow_mut().push(Socket { attachment, poll_socket });
    }

    fn answer(&self, poll_socket: PollSocket, reply: Option<Vec<u8>>) {
        self.open_gate();
        // A poll that has gone does not mind.
        drop(poll_socket.0.send(reply));
    }

    fn waiting_polls(&self) -> u64 {
        self.sockets.borrow().iter().filter(|socket| !socket.poll_socket.0.is_canceled()).count() as u64
    }
}

impl ObjectHost for Host {
    type Sql = Sqlite;

    fn sql(&self) -> &Sqlite {
        &self.inner.sqlite
    }

    async fn synced(&self) {
        self.inner.synced().await;
    }

    async fn set_alarm(&self, at: Millis) {
        self.alarms_set.set(self.alarms_set.get() + 1);
        self.inner.set_alarm(at).await;
    }
}
