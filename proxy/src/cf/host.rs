//! What a Durable Object gives to the actor in it.

use std::{cell::RefCell, future::Future, rc::Rc, time::Duration};

use futures::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use js_sys::{Date, Object, Promise, Reflect};
use serde::{Deserialize, Serialize};
use tern_model::Millis;
use tern_ports::{
    Attachment, Clock, Entropy, ObjectHost, Outbound, Spawn, Sql, Target, Transport, Unreachable, WaitingPolls,
    meter::Spent,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::policy::Standing,
};
use wasm_bindgen::JsValue;
use worker::{Delay, Env, State, Storage, WebSocket, WebSocketPair, wasm_bindgen_futures::JsFuture};

use super::{ambient, outbound, sql::ObjectSql, wire::Wire};

/// What is remembered with each waiting socket, across hibernation: a [`Attachment`], its question as text. Whoever was
/// taken waits for nothing.
#[derive(Debug, Serialize, Deserialize)]
struct SerializedAttachment {
    device_id: String,
    kinds: u32,
    question: Option<String>,
}

/// Longest question remembered. An attachment holds 16 KiB, two bytes to a character at worst.
const LONGEST_QUESTION: usize = 7_000;

/// The host of one object.
pub(crate) struct Host {
    state: Rc<State>,
    sql: ObjectSql,
    wire: Wire,
    reach: Reach,
    /// Of this life in memory alone.
    life: u64,
    pending_yield: RefCell<Option<Shared<LocalBoxFuture<'static, ()>>>>,
}

impl Host {
    /// The host around `state`, which asks servers that are not ours within `reach`.
    pub(crate) fn of(state: Rc<State>, env: &Env, reach: Reach) -> worker::Result<Self> {
        let sql = ObjectSql::of(&state.storage());
        let wire = Wire::of(env, Standing::Nobody)?;
        let mut life = [0; 8];
        ambient::fill(&mut life);
        let life = u64::from_le_bytes(life);
        Ok(Self { state, sql, wire, reach, life, pending_yield: RefCell::default() })
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

    /// A timer comes after everything that is ready. All who wait share one, since an object may have ten thousand, and more
    /// than that wait in a room in which many write at once.
    async fn yield_now(&self) {
        let drawn = self.pending_yield.borrow().clone().filter(|pending_yield| pending_yield.peek().is_none());
        let pending_yield = drawn.unwrap_or_else(|| Delay::from(Duration::ZERO).boxed_local().shared());
        self.pending_yield.replace(Some(pending_yield.clone()));
        pending_yield.await;
    }

    async fn sleep(&self, ms: u64) {
        Delay::from(Duration::from_millis(ms)).await;
    }
}

impl Transport for Host {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.wire.exchange(target, frame).await
    }

    fn standing(&self) -> Standing {
        self.wire.standing()
    }
}

impl Outbound for Host {
    fn reach(&self) -> Reach {
        self.reach
    }

    async fn exchange(&self, request: &HttpRequest, bounds: &Bounds) -> Result<HttpAnswer, HttpError> {
        outbound::exchange(request, bounds).await
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

impl Host {
    /// What was spent by this object so far, in this life.
    pub(crate) fn spent(&self) -> Spent {
        Spent { rows: self.sql.rows_written(), ..self.wire.spent() }
    }

    /// What the object's tables are at: another one after every row that was written, and in every life.
    pub(crate) fn version(&self) -> String {
        format!("{:x}.{:x}", self.life, self.sql.rows_written())
    }

    /// Holds a poll; the other end of its socket comes out.
    pub(crate) fn hold(&self, attachment: Attachment) -> worker::Result<WebSocket> {
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        attach(&pair.server, attachment)?;
        Ok(pair.client)
    }
}

fn attach(socket: &WebSocket, attachment: Attachment) -> worker::Result<()> {
    let question = attachment.question.filter(|question| question.len() <= LONGEST_QUESTION);
    let question = question.and_then(|question| String::from_utf8(question).ok());
    socket.serialize_attachment(SerializedAttachment {
        device_id: attachment.device_id,
        kinds: attachment.kinds,
        question,
    })
}

impl WaitingPolls for Host {
    type PollSocket = WebSocket;

    fn take(&self, device_id: Option<&str>, kinds: u32) -> Vec<(WebSocket, Attachment)> {
        let mut taken = Vec::new();
        for socket in self.state.get_websockets() {
            let Some(SerializedAttachment { device_id: whose, kinds: wanted, question }) =
                socket.deserialize_attachment().ok().flatten()
            else {
                continue;
            };
            if wanted & kinds == 0 || device_id.is_some_and(|device_id| device_id != whose) {
                continue;
            }
            let question = question.map(String::into_bytes);
            let nobody = Attachment { device_id: String::new(), kinds: 0, question: None };
            if attach(&socket, nobody).is_ok() {
                taken.push((socket, Attachment { device_id: whose, kinds: wanted, question }));
            }
        }
        taken
    }

    fn keep(&self, socket: WebSocket, attachment: Attachment) {
        if attach(&socket, attachment).is_err() {
            self.answer(socket, None);
        }
    }

    fn answer(&self, socket: WebSocket, reply: Option<Vec<u8>>) {
        // A socket that cannot be told is gone; its worker asks again by itself.
        // Frames are text, which arrives as such whatever the compatibility date says of binary messages.
        let _sent = reply.and_then(|reply| String::from_utf8(reply).ok()).map(|reply| socket.send_with_str(reply));
        let _closed = socket.close(Some(1000), Some("done"));
    }

    fn waiting_polls(&self) -> u64 {
        self.state.get_websockets().len() as u64
    }
}
