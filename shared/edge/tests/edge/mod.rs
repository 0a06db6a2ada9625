//! The proxy of a test: a real storage worker, hubs made of closures, a clock that stands still.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use futures::future::{FutureExt, ready};
use ruma::owned_server_name;
use tern_model::{Accounts, Algorithm, Config, Jwk, Limits, MatrixError, Millis};
use tern_ports::{
    Clock, Crypto, CryptoError, Entropy, KeyPair, Outbound, Target, Transport, Unreachable,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::{DestinationCommand, UserCommand, frame, policy::Standing, server_keys::StoredServerKey, user::Session},
};
use tern_small_objects::one_time_store::OneTimeStoreActor;
use tern_testkit::{
    Executor, FakeCrypto, Network, Routes, SeededEntropy, StorageNode, TestClock, TestHost,
    network::{Exchange, error_reply, reply},
};

pub(crate) struct Edge {
    pub(crate) storage: Rc<StorageNode>,
    pub(crate) hubs: Rc<Routes>,
    pub(crate) clock: TestClock,
    /// Those that were ever asked.
    pub(crate) gates: RefCell<BTreeMap<String, Rc<OneTimeStoreActor<TestHost>>>>,
    /// What the objects of other servers answer, and how often they were asked.
    pub(crate) servers: RefCell<BTreeMap<String, Vec<StoredServerKey>>>,
    pub(crate) fetches: Cell<u32>,
    /// How the caller stands.
    pub(crate) standing: Cell<Standing>,
    entropy: SeededEntropy,
    crypto: FakeCrypto,
}

impl Edge {
    pub(crate) fn new() -> Self {
        let edge = Self {
            storage: StorageNode::new(),
            hubs: Routes::new(),
            clock: TestClock::default(),
            gates: RefCell::default(),
            servers: RefCell::default(),
            fetches: Cell::default(),
            standing: Cell::new(Standing::Good),
            entropy: SeededEntropy::new(1),
            crypto: FakeCrypto::new(2),
        };
        edge.hubs.users(|user_id, command| match command {
            UserCommand::OpenSession(open) => reply(Session {
                device_id: open.device_id.unwrap_or_else(|| "MADEUP".into()),
                session_id: "session".to_owned(),
                refresh_token: open.refresh.then(|| tern_auth::refresh::write(&config(), user_id, "session", &[1; 32])),
            }),
            UserCommand::RefreshSession(_) => reply(Session {
                device_id: "DEVICE".into(),
                session_id: "session".to_owned(),
                refresh_token: Some(tern_auth::refresh::write(&config(), user_id, "session", &[2; 32])),
            }),
            UserCommand::CloseSessions(_) => reply(tern_ports::wire::Done {}),
            UserCommand::ReadProfile(_) | UserCommand::ReadInvitee(_) => {
                error_reply(MatrixError::not_found("Unknown user"))
            }
            other => Err(Unreachable(format!("unexpected {}", other.name()))),
        });
        edge
    }

    fn store(&self, name: &str) -> Rc<OneTimeStoreActor<TestHost>> {
        let mut gates = self.gates.borrow_mut();
        let host = || Rc::new(TestHost { clock: self.clock.clone(), ..TestHost::default() });
        Rc::clone(gates.entry(name.to_owned()).or_insert_with(|| Rc::new(OneTimeStoreActor::new(host()))))
    }

    #[expect(clippy::unused_self, reason = "reads as what it stands for")]
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        Executor::new().run(work)
    }
}

impl Clock for Edge {
    fn now(&self) -> Millis {
        self.clock.now()
    }
}

impl Entropy for Edge {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }
}

impl Crypto for Edge {
    async fn generate(&self, algorithm: Algorithm) -> Result<KeyPair, CryptoError> {
        self.crypto.generate(algorithm).await
    }

    async fn sign(&self, algorithm: Algorithm, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.crypto.sign(algorithm, private, message).await
    }

    async fn verify(&self, alg: Algorithm, key: &Jwk, message: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        self.crypto.verify(alg, key, message, signature).await
    }

    async fn seal(&self, key: &[u8; 32], context: &[u8], content: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.crypto.seal(key, context, content).await
    }

    async fn open(&self, key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.crypto.open(key, context, sealed).await
    }
}

impl Transport for Edge {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        let exchange: Exchange = match target {
            Target::Storage => {
                let node = Rc::clone(&self.storage);
                async move { Ok(node.answer(&frame).await) }.boxed_local()
            }
            Target::OneTimeStore(name) => {
                let store = self.store(name);
                async move {
                    let command = frame::read(&frame).map_err(|error| Unreachable(error.to_string()))?;
                    Ok(store.handle(command).await)
                }
                .boxed_local()
            }
            Target::Destination(_) if !is_about_keys(&frame) => self.hubs.exchange(target.clone(), frame),
            Target::Destination(name) => {
                self.fetches.set(self.fetches.get() + 1);
                let keys = self.servers.borrow().get(name.as_str()).cloned();
                let unreachable = || error_reply(MatrixError::new(502, "M_UNREACHABLE", "Nobody is there"));
                ready(keys.map_or_else(unreachable, reply)).boxed_local()
            }
            Target::Room(_) | Target::User(_) | Target::DeviceSignIn(_) | Target::Relay(_) | Target::Service(_) => {
                self.hubs.exchange(target.clone(), frame)
            }
        };
        exchange.await
    }

    fn standing(&self) -> Standing {
        self.standing.get()
    }
}

fn is_about_keys(frame: &[u8]) -> bool {
    matches!(frame::read(frame), Ok(DestinationCommand::FetchServerKeys(_)))
}

/// Nobody else can be asked.
impl Outbound for Edge {
    fn reach(&self) -> Reach {
        Reach::Public
    }

    async fn exchange(&self, _: &HttpRequest, _: &Bounds) -> Result<HttpAnswer, HttpError> {
        Err(HttpError::Late)
    }
}

pub(crate) fn config() -> Config {
    Config {
        server_name: owned_server_name!("example.org"),
        public_url: None,
        signing_key_id: "ed25519:a".to_owned(),
        signing_key: vec![1; 32],
        token_key: vec![7; 32],
        admin_token: None,
        open_registration: true,
        registration_token: None,
        unlimited: false,
        limits: Limits::default(),
        accounts: Accounts::default(),
        outbound_private: false,
        default_room_version: None,
        support: None,
        federation: tern_model::Federation::default(),
    }
}

/// Status and code of an error.
#[expect(clippy::expect_used, reason = "tests")]
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> (u16, String) {
    let error = result.expect_err("it should have been refused");
    (error.status, error.errcode.into_owned())
}
