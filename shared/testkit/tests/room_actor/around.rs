//! What surrounds a room under test: a storage worker, users' hubs, other rooms, each of which can be out.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures::{channel::oneshot, future::FutureExt as _};
use ruma::{OwnedRoomId, OwnedUserId};
use tern_model::Notice;
use tern_ports::{
    wire::storage::StorageCommand,
    wire::{DestinationCommand, Done, RelayCommand, UserCommand, frame, user::Delivered},
    {Target, Unreachable},
};
use tern_room_hub::RoomActor;
use tern_small_objects::relay::RelayActor;
use tern_testkit::{
    executor::yield_once,
    network::Exchange,
    {Network, StorageNode, TestHost},
};

/// What surrounds the room.
pub(crate) struct Around {
    pub(crate) storage: Rc<StorageNode>,
    pub(crate) storage_out: Cell<bool>,
    /// The storage worker does its work, but its answers are lost.
    pub(crate) storage_mute: Cell<bool>,
    pub(crate) appends: Cell<usize>,
    pub(crate) out: RefCell<BTreeSet<String>>,
    /// Hubs that never answer.
    pub(crate) stuck: RefCell<BTreeSet<String>>,
    pub(crate) told: RefCell<Vec<(OwnedUserId, Notice)>>,
    pub(crate) at_once: Cell<usize>,
    pub(crate) most_at_once: Cell<usize>,
    pub(crate) rooms: RefCell<BTreeMap<OwnedRoomId, Rc<RoomActor<TestHost>>>>,
    /// Hubs that relays tell by themselves.
    pub(crate) relay_above: Cell<u64>,
    /// Shares that relays were given: the relay, and to how many hubs.
    pub(crate) shards: RefCell<Vec<(String, usize)>>,
    /// Relays that do their work, but whose answers are lost.
    pub(crate) mute_relays: RefCell<BTreeSet<String>>,
    /// Relays that have done their work wait with their answers until they are released.
    pub(crate) hold: Cell<bool>,
    pub(crate) held: RefCell<Vec<oneshot::Sender<()>>>,
    /// Hubs that nobody listens to.
    pub(crate) idle: RefCell<BTreeSet<String>>,
    /// What objects of other servers were told: from where and up to where.
    pub(crate) enqueued: RefCell<Vec<(String, u64, u64)>>,
    /// What the objects of other servers answer to what they are asked; without it they cannot be reached.
    pub(crate) servers: RefCell<Option<Rc<Server>>>,
}

/// The objects of other servers.
pub(crate) type Server = dyn Fn(&str, DestinationCommand) -> Vec<u8>;

/// The network of one room object.
pub(crate) struct Wires(pub(crate) Rc<Around>);

impl Network for Wires {
    fn exchange(&self, target: Target, frame: Vec<u8>) -> Exchange {
        let around = Rc::clone(&self.0);
        async move {
            match target {
                Target::Storage => around.to_storage(&frame).await,
                Target::User(user_id) => around.to_user(user_id, &frame).await,
                Target::Room(room_id) => {
                    let room = around.rooms.borrow().get(&room_id).cloned();
                    match room {
                        Some(room) => Ok(room.handle(frame::read(&frame).unwrap()).await),
                        None => Err(Unreachable("no such room".to_owned())),
                    }
                }
                Target::Relay(name) => around.to_relay(name, &frame).await,
                Target::Destination(server) => around.to_destination(server.as_str(), &frame).await,
                Target::Service(id) => around.to_destination(&format!("appservice {id}"), &frame).await,
                Target::OneTimeStore(_) | Target::DeviceSignIn(_) => Err(Unreachable("rooms pass no gate".to_owned())),
            }
        }
        .boxed_local()
    }
}

impl Around {
    /// Everything answers.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            storage: StorageNode::new(),
            storage_out: Cell::default(),
            storage_mute: Cell::default(),
            appends: Cell::default(),
            out: RefCell::default(),
            stuck: RefCell::default(),
            told: RefCell::default(),
            at_once: Cell::default(),
            most_at_once: Cell::default(),
            rooms: RefCell::default(),
            relay_above: Cell::new(u64::MAX),
            shards: RefCell::default(),
            mute_relays: RefCell::default(),
            hold: Cell::default(),
            held: RefCell::default(),
            idle: RefCell::default(),
            enqueued: RefCell::default(),
            servers: RefCell::default(),
        })
    }

    async fn to_destination(&self, server: &str, frame: &[u8]) -> Result<Vec<u8>, Unreachable> {
        yield_once().await;
        if self.out.borrow().contains(server) {
            return Err(Unreachable("out".to_owned()));
        }
        match frame::read(frame).unwrap() {
            DestinationCommand::EnqueueEvents(ask) => {
                self.enqueued.borrow_mut().push((server.to_string(), ask.from.0, ask.until.0));
                Ok(frame::write_reply(&Ok(Done {})))
            }
            ask => {
                let servers = self.servers.borrow().clone();
                Ok(servers.ok_or_else(|| Unreachable("nobody is there".to_owned()))?(server, ask))
            }
        }
    }

    async fn to_relay(self: &Rc<Self>, name: String, frame: &[u8]) -> Result<Vec<u8>, Unreachable> {
        yield_once().await;
        let RelayCommand::PassOn(request) = frame::read(frame).unwrap();
        self.shards.borrow_mut().push((name.clone(), request.users.len()));
        let host = TestHost::on(Rc::new(Wires(Rc::clone(self))));
        let reply = RelayActor::new(host, name.clone(), self.relay_above.get()).handle((*request).into()).await;
        if self.hold.get() {
            let (release, released) = oneshot::channel();
            self.held.borrow_mut().push(release);
            released.await.unwrap();
        }
        if self.mute_relays.borrow().contains(&name) { Err(Unreachable("lost".to_owned())) } else { Ok(reply) }
    }

    pub(crate) async fn to_storage(&self, frame: &[u8]) -> Result<Vec<u8>, Unreachable> {
        yield_once().await;
        if self.storage_out.get() {
            return Err(Unreachable("out".to_owned()));
        }
        if let Ok(StorageCommand::AppendEvents(_)) = frame::read(frame) {
            self.appends.set(self.appends.get() + 1);
        }
        let reply = self.storage.answer(frame).await;
        if self.storage_mute.get() { Err(Unreachable("lost".to_owned())) } else { Ok(reply) }
    }

    pub(crate) async fn to_user(&self, user_id: OwnedUserId, frame: &[u8]) -> Result<Vec<u8>, Unreachable> {
        self.at_once.set(self.at_once.get() + 1);
        self.most_at_once.set(self.most_at_once.get().max(self.at_once.get()));
        if self.stuck.borrow().contains(user_id.as_str()) {
            std::future::pending::<()>().await;
        }
        yield_once().await;
        self.at_once.set(self.at_once.get() - 1);
        if self.out.borrow().contains(user_id.as_str()) {
            return Err(Unreachable("out".to_owned()));
        }
        let UserCommand::Deliver(deliver) = frame::read(frame).unwrap() else { panic!("only notices are expected") };
        let notices = deliver.notices.into_iter().map(|notice| (user_id.clone(), notice));
        self.told.borrow_mut().extend(notices);
        let idle = self.idle.borrow().contains(user_id.as_str());
        Ok(frame::write_reply(&Ok(Delivered { idle })))
    }
}
