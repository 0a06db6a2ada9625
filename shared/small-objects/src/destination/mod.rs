//! The object of another server, named by that server: the one place that asks it things, so that many who want the same ask
//! once, and a server that is down is left alone. And that of an application service, named by its registration, which is
//! sent events the same way.
//!
//! - `way` finds where the server is, and remembers it while this object lives.
//! - `keys` has the server say which keys it has, or a notary for it.
//! - `request` makes signed requests; `lease` has one at a time copy a medium.
//! - `devices` keeps the keys of its users as long as they are true, in rows of `device_store`.
//! - `queue` is what the server is to be told of: for each room how far it is, in rows of `store`; `messages` are to-device
//!   messages, in rows of `message_store`; `device_changes` are changed keys of users here, and `ephemeral` is typing and
//!   receipts; `transaction` makes what it is sent of that, and `sending` has it sent.
//! - `service` is what is different for an application service.
//!
//! Only a room in which the server takes part has anything stored here: whoever makes up names of servers leaves no objects
//! behind.

mod device_changes;
mod device_store;
mod devices;
mod ephemeral;
mod keys;
mod lease;
mod message_store;
mod messages;
mod queue;
mod request;
mod schema;
mod sending;
mod service;
mod store;
mod transaction;
mod way;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use futures::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use ruma::OwnedServerName;
use tern_federation::{back_off::BackOff, discovery::Way, server_name::ServerName, signature::PrivateKey};
use tern_model::{Config, MatrixError, Millis, RawJson};
use tern_object_kit::alarm::AlarmClock;
use tern_ports::{
    ObjectHost,
    wire::{DestinationCommand, frame, server_keys::StoredServerKey},
};

pub use schema::{RESTORED, SCHEMA};

/// An answer with all keys is not asked for again for so long, in milliseconds, whoever names another key.
const FRESH_FOR: u64 = 60_000;
/// A server that had no answer is left alone for so long, then twice as long, and so on, in milliseconds.
const FIRST_PAUSE: u64 = 60_000;
const LONGEST_PAUSE: u64 = 3_600_000;

/// What came of asking for keys.
type Fetched = Result<Vec<StoredServerKey>, MatrixError>;

/// The actor in the object of another server.
pub struct DestinationActor<H> {
    host: Rc<H>,
    config: Rc<Config>,
    /// The server; of an application service, this one.
    name: OwnedServerName,
    /// The application service, by its id, if this is the object of one.
    service: Option<String>,
    /// What a service is sent with the next transaction.
    for_service: RefCell<VecDeque<RawJson>>,
    /// It has transactions at the path of long ago.
    legacy: Cell<bool>,
    /// The name as it is looked up.
    server: ServerName,
    /// Those who ask at the same time share one answer.
    asking: RefCell<Option<Shared<LocalBoxFuture<'static, Fetched>>>>,
    /// What came of it last, and until when that stands.
    last: RefCell<Option<(Millis, Fetched)>>,
    pause: Cell<u64>,
    way: RefCell<Option<(Millis, Way)>>,
    /// With which requests are signed.
    key: Option<PrivateKey>,
    back_off: Cell<BackOff>,
    queue: queue::Queue,
    leases: lease::Leases,
    alarm: AlarmClock,
    /// Typing and receipts that wait.
    ephemeral: ephemeral::Ephemeral,
    /// How often watchers of device lists could not be told.
    untold: Cell<u32>,
}

impl<H: ObjectHost> DestinationActor<H> {
    /// The object of the server of this name.
    ///
    /// # Errors
    /// When it is no name in small letters.
    pub fn new(host: Rc<H>, config: Rc<Config>, name: &str) -> Result<Rc<Self>, String> {
        let server = ServerName::parse(name).filter(|server| server.to_string() == name);
        let server = server.ok_or("the object is not named by a server")?;
        let name = OwnedServerName::try_from(name).map_err(|error| error.to_string())?;
        Ok(Rc::new(Self::with(host, config, name, server, None)))
    }

    /// The object of the application service of this id.
    ///
    /// # Errors
    /// When this server's name is none in small letters.
    pub fn of_service(host: Rc<H>, config: Rc<Config>, id: String) -> Result<Rc<Self>, String> {
        let name = config.server_name.clone();
        let server = ServerName::parse(name.as_str()).ok_or("this server has no name")?;
        Ok(Rc::new(Self::with(host, config, name, server, Some(id))))
    }

    fn with(
        host: Rc<H>,
        config: Rc<Config>,
        name: OwnedServerName,
        server: ServerName,
        service: Option<String>,
    ) -> Self {
        let key = PrivateKey::new(&config.signing_key_id, &config.signing_key);
        Self {
            host,
            config,
            name,
            service,
            for_service: RefCell::default(),
            legacy: Cell::default(),
            server,
            asking: RefCell::default(),
            last: RefCell::default(),
            pause: Cell::new(FIRST_PAUSE),
            way: RefCell::default(),
            key,
            back_off: Cell::default(),
            queue: queue::Queue::default(),
            leases: lease::Leases::default(),
            alarm: AlarmClock::default(),
            ephemeral: ephemeral::Ephemeral::default(),
            untold: Cell::default(),
        }
    }

    /// Handles one command; answers with a reply frame.
    pub async fn handle(self: &Rc<Self>, command: DestinationCommand) -> Vec<u8> {
        let of_service = matches!(
            command,
            DestinationCommand::EnqueueEvents(_)
                | DestinationCommand::EnqueueEphemeral(_)
                | DestinationCommand::WakeDestination(_)
                | DestinationCommand::ProbeDestination(_)
        );
        if self.service.is_some() && !of_service {
            return frame::write_reply::<()>(&Err(MatrixError::forbidden("An application service is no server")));
        }
        match command {
            DestinationCommand::FetchServerKeys(_) => frame::write_reply(&self.fetch_keys().await),
            DestinationCommand::SendRequest(request) => frame::write_reply(&self.ask_server(*request).await),
            DestinationCommand::LeaseMedia(request) => frame::write_reply(&self.lease_media(&request).await),
            DestinationCommand::EndMediaLease(request) => frame::write_reply(&Ok(self.end_media_lease(&request))),
            DestinationCommand::EnqueueEvents(request) => frame::write_reply(&self.enqueue(*request).await),
            DestinationCommand::EnqueueEphemeral(request) => frame::write_reply(&self.enqueue_ephemeral(*request)),
            DestinationCommand::QueryRemoteKeys(request) => frame::write_reply(&self.query_keys(*request).await),
            DestinationCommand::NoteRemoteDevices(request) => frame::write_reply(&self.note_devices(*request).await),
            DestinationCommand::SendToDevice(request) => frame::write_reply(&self.send_to_device(*request).await),
            DestinationCommand::EnqueueDeviceList(request) => frame::write_reply(&self.enqueue_devices(*request).await),
            DestinationCommand::SendEphemeral(request) => frame::write_reply(&self.send_ephemeral(*request)),
            DestinationCommand::WakeDestination(_) => frame::write_reply(&self.wake()),
            DestinationCommand::ProbeDestination(_) => frame::write_reply(&self.probe()),
        }
    }

    async fn fetch_keys(self: &Rc<Self>) -> Fetched {
        let now = self.host.now();
        let standing = self.last.borrow().as_ref().filter(|(until, _)| now < *until).map(|(_, last)| last.clone());
        if let Some(last) = standing {
            return last;
        }
        let running = self.asking.borrow().clone().filter(|asking| asking.peek().is_none());
        let asking = running.unwrap_or_else(|| {
            let this = Rc::clone(self);
            async move { this.ask_for_keys().await }.boxed_local().shared()
        });
        self.asking.replace(Some(asking.clone()));
        asking.await
    }

    async fn ask_for_keys(&self) -> Fetched {
        let fetched = self.keys_from_anywhere().await;
        let lasts = match &fetched {
            Ok(_) => {
                self.pause.set(FIRST_PAUSE);
                FRESH_FOR
            }
            // Not the other server's fault.
            Err(error) if error.status == 503 => 0,
            Err(_) => self.pause.replace(self.pause.get().saturating_mul(2).min(LONGEST_PAUSE)),
        };
        self.last.replace(Some((self.host.now().plus(lasts), fetched.clone())));
        fetched
    }
}
