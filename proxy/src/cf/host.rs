//! What a Durable Object gives to the actor in it.

use std::{future::Future, rc::Rc, time::Duration};

use futures::future::LocalBoxFuture;
use js_sys::{Date, Object, Promise, Reflect};
use serde::{Deserialize, Serialize};
use tern_model::Millis;
use tern_ports::{Clock, Entropy, ObjectHost, Parking, Spawn, Target, Transport, Unreachable};
use wasm_bindgen::JsValue;
use worker::{Delay, Env, State, Storage, wasm_bindgen_futures::JsFuture};

use super::{ambient, sql::ObjectSql, wire::Wire};

/// What is remembered with each parked socket, across hibernation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) device_id: String,
    pub(crate) kinds: u32,
}

/// The host of one object.
pub(crate) struct Host {
    state: Rc<State>,
    sql: ObjectSql,
    wire: Wire,
}

impl Host {
    /// The host around `state`.
    pub(crate) fn of(state: Rc<State>, env: &Env) -> worker::Result<Self> {
        let sql = ObjectSql::of(&state.storage());
        let wire = Wire::of(env)?;
        Ok(Self { state, sql, wire })
    }
}

impl Clock for Host {
    fn now(&self) -> Millis {
        ambient::now()
    }
}

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        ambient::fill(bytes);
    }
}

impl Spawn for Host {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.state.wait_until(work);
    }

    /// A timer comes after everything that is ready.
    async fn breathe(&self) {
        Delay::from(Duration::ZERO).await;
    }
}

impl Transport for Host {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.wire.exchange(target, frame).await
    }
}

impl ObjectHost for Host {
    type Sql = ObjectSql;

    fn sql(&self) -> &ObjectSql {
        &self.sql
    }

    fn synced(&self) -> impl Future<Output = ()> {
        let storage = self.state.storage();
        async move {
            if let Err(error) = storage.sync().await {
                worker::console_error!("sync: {error}");
            }
        }
    }

    fn set_alarm(&self, at: Millis) -> impl Future<Output = ()> {
        let set = set_unconfirmed_alarm(&self.state.storage(), at);
        async move {
            let done = match set {
                Ok(promise) => JsFuture::from(promise).await.map(|_| ()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                worker::console_error!("alarm: {error:?}");
            }
        }
    }
}

/// An alarm that holds back no reply. What must not be lost is written after it, and is durable only together with it.
/// Written against the binding, since the crate's options do not reach it under the platform's names.
#[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^53")]
fn set_unconfirmed_alarm(storage: &Storage, at: Millis) -> Result<Promise, JsValue> {
    let options = Object::new();
    Reflect::set(&options, &"allowUnconfirmed".into(), &true.into())?;
    storage.as_raw().set_alarm(Date::new(&JsValue::from_f64(at.0 as f64)), options)
}

impl Parking for Host {
    fn wake(&self, device_id: Option<&str>, kinds: u32) {
        for socket in self.state.get_websockets() {
            let ticket: Option<Ticket> = socket.deserialize_attachment().ok().flatten();
            let wanted = ticket.is_none_or(|ticket| {
                ticket.kinds & kinds != 0 && device_id.is_none_or(|device_id| ticket.device_id == device_id)
            });
            if wanted {
                // A socket that cannot be told is gone; its worker asks again by itself.
                let _sent = socket.send_with_str("news");
                let _closed = socket.close(Some(1000), Some("news"));
            }
        }
    }

    fn parked(&self) -> u64 {
        self.state.get_websockets().len() as u64
    }
}
