//! What a handler works with: configuration, the way to the other parts, the cache of verified tokens.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
};

use futures::{
    channel::oneshot,
    future::{Either, select},
};
use tern_auth::{TokenCache, limit::Meters, turn_server::Relays};
use tern_edge::federation::{
    awake::Awake, in_flight::InFlight, key_cache::KeyCache, own_keys::OwnKeys, profiles::RemoteProfiles,
};
use tern_edge::remote_media::{Peers, Reply};
use tern_edge::signing::Keyrings;
use tern_edge::upstream::Known;
use tern_media::Policy;
use tern_model::{Algorithm, Config, Jwk, MatrixError, Millis};
use tern_ports::{
    Cache, Charsets, Clock, ContentTransport, Crypto, CryptoError, Entropy, KeyPair, Outbound, Polls as _, Target,
    Transport, Unreachable,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach, Url},
    wire::{
        media::{StoreMedia, Stored},
        policy::Standing,
    },
};
use worker::{Context, Env};

use crate::{cf, cf::settings::RtcTransport};

/// What is noted while a request is served.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) route: Cell<&'static str>,
    pub(crate) auth_ms: Cell<u64>,
}

/// Bindings and configuration of this isolate.
pub(crate) struct Edge {
    pub(crate) config: Rc<Config>,
    /// What is allowed of media.
    pub(crate) media: Policy,
    /// Of calls.
    pub(crate) relays: Option<Relays>,
    /// Of calls of several people, as clients are told (MSC4143).
    pub(crate) transports: Vec<RtcTransport>,
    pub(crate) wire: Rc<cf::wire::Wire>,
    pub(crate) dataset: cf::meter::Dataset,
    /// Of the one request that is served.
    pub(crate) trace: Trace,
    env: Env,
    context: Rc<Context>,
    pub(crate) tokens: Rc<RefCell<TokenCache>>,
    pub(crate) meters: Rc<RefCell<Meters>>,
    /// What other providers have said of themselves.
    pub(crate) providers: Rc<Known>,
    pub(crate) keyrings: Rc<Keyrings>,
    /// Other servers that were there lately.
    pub(crate) awake: Rc<Awake>,
    /// Of users of other servers.
    pub(crate) profiles: Rc<RemoteProfiles>,
    /// Of other servers.
    pub(crate) server_keys: Rc<KeyCache>,
    /// What this server says of its own.
    pub(crate) own_keys: Rc<OwnKeys>,
    /// Whose transactions are being taken in.
    pub(crate) in_flight: Rc<InFlight>,
}

thread_local! {
    /// Parsed once per isolate: bindings do not change within one.
    static CONFIG: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
    /// Verified tokens, shared by all requests of the isolate.
    static TOKENS: Rc<RefCell<TokenCache>> = Rc::new(RefCell::new(TokenCache::default()));
    /// What was done from where, likewise.
    static METERS: Rc<RefCell<Meters>> = Rc::new(RefCell::new(Meters::default()));
    /// The keys of id tokens, likewise.
    static KEYRINGS: Rc<Keyrings> = Rc::default();
    static AWAKE: Rc<Awake> = Rc::default();
    static PROVIDERS: Rc<Known> = Rc::default();
    static PROFILES: Rc<RemoteProfiles> = Rc::default();
    static SERVER_KEYS: Rc<KeyCache> = Rc::default();
    static OWN_KEYS: Rc<OwnKeys> = Rc::default();
    static IN_FLIGHT: Rc<InFlight> = Rc::default();
}

impl Edge {
    /// The edge of this isolate.
    pub(crate) fn of(env: &Env, context: Rc<Context>) -> worker::Result<Self> {
        Ok(Self {
            context,
            config: config(env)?,
            wire: Rc::new(cf::wire::Wire::of(env, Standing::Unknown)?),
            dataset: cf::meter::Dataset::of(env),
            trace: Trace::default(),
            env: env.clone(),
            tokens: TOKENS.with(Rc::clone),
            meters: METERS.with(Rc::clone),
            providers: PROVIDERS.with(Rc::clone),
            keyrings: KEYRINGS.with(Rc::clone),
            awake: AWAKE.with(Rc::clone),
            profiles: PROFILES.with(Rc::clone),
            server_keys: SERVER_KEYS.with(Rc::clone),
            own_keys: OWN_KEYS.with(Rc::clone),
            in_flight: IN_FLIGHT.with(Rc::clone),
            media: cf::settings::media(env)?,
            relays: cf::settings::relays(env)?,
            transports: cf::settings::transports(env)?,
        })
    }
}

impl Edge {
    /// Does something to its end, also when the client goes away meanwhile. The platform gives that half a minute.
    ///
    /// # Errors
    /// 503 when it did not come to its end; 500.
    pub(crate) async fn outlasting<T: 'static>(
        &self,
        work: impl AsyncFnOnce(&Self) -> Result<T, MatrixError> + 'static,
    ) -> Result<T, MatrixError> {
        let own = Self::of(&self.env, Rc::clone(&self.context)).map_err(|_| MatrixError::internal())?;
        own.wire.stand(self.wire.standing());
        let (sender, receiver) = oneshot::channel();
        self.context.wait_until(async move {
            // Whoever waited may be gone.
            let _sent = sender.send(work(&own).await);
        });
        receiver.await.unwrap_or_else(|_| Err(MatrixError::unavailable()))
    }
}

impl Edge {
    /// Does something after the answer, which waits for nothing.
    pub(crate) fn afterwards(&self, work: impl Future<Output = ()> + 'static) {
        self.context.wait_until(work);
    }

    /// Milliseconds between two frames of metrics.
    pub(crate) fn metrics_interval(&self) -> u64 {
        cf::settings::metrics_interval(&self.env)
    }

    /// The token of whoever collects metrics.
    pub(crate) fn metrics_token(&self) -> Option<String> {
        cf::settings::metrics_token(&self.env)
    }
}

/// The configuration of this isolate.
pub(crate) fn config(env: &Env) -> worker::Result<Rc<Config>> {
    if let Some(config) = CONFIG.with_borrow(Clone::clone) {
        return Ok(config);
    }
    let config = Rc::new(cf::settings::read(env)?);
    CONFIG.set(Some(Rc::clone(&config)));
    Ok(config)
}

/// Which addresses that others chose may be asked.
pub(crate) const fn reach(config: &Config) -> Reach {
    if config.outbound_private { Reach::Anywhere } else { Reach::Public }
}

impl Clock for Edge {
    fn now(&self) -> Millis {
        cf::ambient::now()
    }
}

impl Entropy for Edge {
    fn fill(&self, bytes: &mut [u8]) {
        cf::ambient::fill(bytes);
    }
}

impl Transport for Edge {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.wire.exchange(target, frame).await
    }

    fn standing(&self) -> Standing {
        self.wire.standing()
    }
}

impl Outbound for Edge {
    fn reach(&self) -> Reach {
        reach(&self.config)
    }

    async fn exchange(&self, request: &HttpRequest, bounds: &Bounds) -> Result<HttpAnswer, HttpError> {
        cf::outbound::exchange(request, bounds).await
    }
}

impl Crypto for Edge {
    async fn generate(&self, algorithm: Algorithm) -> Result<KeyPair, CryptoError> {
        cf::crypto::generate(algorithm).await
    }

    async fn sign(&self, algorithm: Algorithm, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        cf::crypto::sign(algorithm, private, message).await
    }

    async fn verify(
        &self,
        algorithm: Algorithm,
        public: &Jwk,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        cf::crypto::verify(algorithm, public, message, signature).await
    }

    async fn seal(&self, key: &[u8; 32], context: &[u8], content: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut nonce = [0; 12];
        self.fill(&mut nonce);
        cf::crypto::seal(key, context, content, nonce).await
    }

    async fn open(&self, key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        cf::crypto::open(key, context, sealed).await
    }
}

impl Cache for Edge {
    async fn recall(&self, key: &str) -> Option<String> {
        cf::cache::recall(&self.env, key).await
    }

    async fn remember(&self, key: &str, text: String, seconds: u64) {
        cf::cache::remember(&self.env, key, text, seconds).await;
    }
}

impl Charsets for Edge {
    fn decode(&self, label: &str, bytes: &[u8]) -> Option<String> {
        cf::charset::decode(label, bytes)
    }
}

impl ContentTransport for Edge {
    async fn store_content(&self, ask: StoreMedia, content: Vec<u8>) -> Result<Stored, MatrixError> {
        let content = js_sys::Uint8Array::from(content.as_slice());
        self.wire.ask_media(ask, Some(content.into())).await.map(|(stored, _)| stored)
    }
}

/// How long content may be on its way, in milliseconds.
const PASSING_MS: u64 = 120_000;

impl Peers for Edge {
    type Body = cf::outbound::Passing;

    async fn get(&self, url: &Url, authorization: Option<&str>) -> Result<Reply<Self::Body>, HttpError> {
        cf::outbound::open(url, authorization).await
    }

    async fn store(&self, ask: StoreMedia, mut body: Self::Body) -> Result<Stored, MatrixError> {
        let stored = pin!(self.wire.ask_media(ask, body.stream.take()));
        match select(stored, pin!(self.wire.sleep(PASSING_MS))).await {
            Either::Left((stored, _)) => stored.map(|(stored, _)| stored),
            Either::Right(_) => Err(HttpError::Late.into()),
        }
    }
}
