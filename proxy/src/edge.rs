//! What a handler works with: configuration, the way to the other parts, the cache of verified tokens.

use std::{cell::RefCell, rc::Rc};

use tern_auth::{TokenCache, limit::Meters};
use tern_media::Policy;
use tern_model::{Config, Millis};
use tern_ports::{
    Clock, Entropy, Outbound, Target, Transport, Unreachable,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
};
use worker::Env;

use crate::cf;

/// Bindings and configuration of this isolate.
pub(crate) struct Edge {
    pub(crate) config: Rc<Config>,
    /// What is allowed of media.
    pub(crate) media: Policy,
    pub(crate) wire: cf::wire::Wire,
    pub(crate) tokens: Rc<RefCell<TokenCache>>,
    pub(crate) meters: Rc<RefCell<Meters>>,
}

thread_local! {
    /// Parsed once per isolate: bindings do not change within one.
    static CONFIG: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
    /// Verified tokens, shared by all requests of the isolate.
    static TOKENS: Rc<RefCell<TokenCache>> = Rc::new(RefCell::new(TokenCache::default()));
    /// What was done from where, likewise.
    static METERS: Rc<RefCell<Meters>> = Rc::new(RefCell::new(Meters::default()));
}

impl Edge {
    /// The edge of this isolate.
    pub(crate) fn of(env: &Env) -> worker::Result<Self> {
        Ok(Self {
            config: config(env)?,
            wire: cf::wire::Wire::of(env)?,
            tokens: TOKENS.with(Rc::clone),
            meters: METERS.with(Rc::clone),
            media: cf::settings::media(env)?,
        })
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
}

impl Outbound for Edge {
    fn reach(&self) -> Reach {
        if self.config.outbound_private { Reach::Anywhere } else { Reach::Public }
    }

    async fn exchange(&self, request: &HttpRequest, bounds: &Bounds) -> Result<HttpAnswer, HttpError> {
        cf::outbound::exchange(request, bounds).await
    }
}
