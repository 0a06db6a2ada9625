//! The host of one actor: the testkit's, with the writes of its alarm counted and its parked polls kept.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures::{channel::oneshot, future::LocalBoxFuture};
use tern_model::Millis;
use tern_ports::{Clock, Entropy, ObjectHost, Parked, Parking, Spawn, Target, Ticket, Transport, Unreachable};
use tern_testkit::{Sqlite, TestHost};

/// Hosts one actor.
pub struct Host {
    inner: TestHost,
    alarms_set: Cell<u64>,
    sockets: RefCell<Vec<Socket>>,
}

struct Socket {
    ticket: Ticket,
    seat: Seat,
}

/// The hub's end of a parked socket.
pub struct Seat(oneshot::Sender<Option<Vec<u8>>>);

/// A poll that waits for its answer.
pub struct Poll(oneshot::Receiver<Option<Vec<u8>>>);

impl Parked for Poll {
    async fn woken(&mut self) -> Option<Vec<u8>> {
        // A socket that breaks is a wake as well.
        (&mut self.0).await.ok().flatten()
    }
}

impl Host {
    pub(crate) fn new(inner: TestHost) -> Rc<Self> {
        Rc::new(Self { inner, alarms_set: Cell::default(), sockets: RefCell::default() })
    }

    /// The object after it left memory. Parked polls break.
    pub(crate) fn evicted(&self) -> Rc<Self> {
        self.inner.sqlite.make_durable();
        let inner = self.inner.restarted();
        let inner = Rc::into_inner(inner).expect("nobody else has seen it yet");
        Rc::new(Self { inner, alarms_set: Cell::new(self.alarms_set.get()), sockets: RefCell::default() })
    }

    /// Everything written so far is durable, as it is before an answer leaves.
    pub(crate) fn open_gate(&self) {
        self.inner.sqlite.make_durable();
    }

    pub(crate) fn park(&self, ticket: Ticket) -> Poll {
        let (seat, woken) = oneshot::channel();
        self.keep(Seat(seat), ticket);
        Poll(woken)
    }

    pub(crate) fn alarm(&self) -> Option<Millis> {
        self.inner.alarm.get()
    }

    pub(crate) fn take_due_alarm(&self) -> bool {
        self.inner.due_alarm().is_some()
    }

    /// Rows of tables written so far. Setting an alarm is billed as one.
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

    async fn breathe(&self) {
        self.inner.breathe().await;
    }

    /// Whoever is asked answers, so nobody's patience ends.
    async fn sleep(&self, _: u64) {
        std::future::pending::<()>().await;
    }
}

impl Transport for Host {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.inner.exchange(target, frame).await
    }
}

impl Parking for Host {
    type Seat = Seat;

    fn take(&self, device_id: Option<&str>, kinds: u32) -> Vec<(Seat, Ticket)> {
        let wanted = |socket: &mut Socket| {
            let ticket = &socket.ticket;
            ticket.kinds & kinds != 0 && device_id.is_none_or(|device_id| ticket.device_id == device_id)
        };
        let mut sockets = self.sockets.borrow_mut();
        sockets.retain(|socket| !socket.seat.0.is_canceled());
        sockets.extract_if(.., wanted).map(|socket| (socket.seat, socket.ticket)).collect()
    }

    fn keep(&self, seat: Seat, ticket: Ticket) {
        self.sockets.borrow_mut().push(Socket { ticket, seat });
    }

    fn answer(&self, seat: Seat, reply: Option<Vec<u8>>) {
        self.open_gate();
        // A poll that has gone does not mind.
        drop(seat.0.send(reply));
    }

    fn parked(&self) -> u64 {
        self.sockets.borrow().iter().filter(|socket| !socket.seat.0.is_canceled()).count() as u64
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
