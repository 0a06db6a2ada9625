//! Frames to the storage worker and to objects, and waiting sockets.

use std::cell::Cell;

use super::ambient;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::StreamExt;
use ruma::UserId;
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    PollReply, Polls, Target, Transport, Unreachable, WaitingPoll,
    meter::{METRICS_HEADER, Spent},
    platform_limits::check_frame,
    wire::{
        MediaRequest, frame,
        media::{COMMAND_HEADER as MEDIA_COMMAND, REPLY_HEADER},
        policy::Standing,
    },
};
use wasm_bindgen::JsValue;
use worker::{
    Delay, Env, Fetcher, Headers, Method, ObjectNamespace, Request, RequestInit, Response, ResponseBody, Stub,
    WebSocket, WebsocketEvent, console_error,
};

/// Carries the command of a poll, which comes as a WebSocket upgrade and thus without a body.
pub(crate) const COMMAND_HEADER: &str = "x-tern-command";

/// Carries the answer of a waiting poll to which no news came in time.
pub(crate) const TIMEOUT_RESPONSE_HEADER: &str = "x-tern-quiet";

/// Asks an object for what it spends on a request, and carries its answer back.
pub(crate) const SPENT_HEADER: &str = "x-tern-spent";

/// Host name of internal requests; never resolved.
const INTERNAL: &str = "https://tern/";

/// The ways to the other parts.
pub(crate) struct Wire {
    storage: Fetcher,
    rooms: ObjectNamespace,
    users: ObjectNamespace,
    one_time_stores: ObjectNamespace,
    device_sign_ins: ObjectNamespace,
    relays: ObjectNamespace,
    destinations: ObjectNamespace,
    services: ObjectNamespace,
    /// Of whoever causes what is sent.
    standing: Cell<Standing>,
    spent: Cell<Spent>,
    /// Objects are asked for what they spend.
    asks_cost: Cell<bool>,
}

impl Wire {
    /// The bindings of `env`.
    pub(crate) fn of(env: &Env, standing: Standing) -> worker::Result<Self> {
        Ok(Self {
            storage: env.service("STORAGE")?,
            rooms: env.durable_object("ROOM_HUB")?,
            users: env.durable_object("USER_HUB")?,
            one_time_stores: env.durable_object("GATE")?,
            device_sign_ins: env.durable_object("HANDOFF")?,
            relays: env.durable_object("RELAY")?,
            destinations: env.durable_object("DESTINATION")?,
            services: env.durable_object("SERVICE")?,
            standing: Cell::new(standing),
            spent: Cell::default(),
            asks_cost: Cell::default(),
        })
    }

    /// It is known how the caller stands.
    pub(crate) fn stand(&self, standing: Standing) {
        self.standing.set(standing);
    }

    /// From now on objects are asked for what they spend.
    pub(crate) fn ask_cost(&self) {
        self.asks_cost.set(true);
    }

    /// What was spent this way so far.
    pub(crate) fn spent(&self) -> Spent {
        self.spent.get()
    }

    /// Notes one request to another part, which was sent at `began`, and what an object says that it spent itself.
    fn note(&self, storage: bool, began: Millis, response: &Response) {
        let ms = ambient::now().since(began);
        let own = if storage {
            Spent { storage_ms: ms, storage_calls: 1, ..Spent::default() }
        } else {
            Spent { object_ms: ms, hops: 1, ..Spent::default() }
        };
        let inner = self.asks_cost.get().then(|| response.headers().get(SPENT_HEADER).ok().flatten());
        let inner = inner.flatten().and_then(|text| Spent::parse(&text));
        self.spent.set(self.spent.get() + own + inner.unwrap_or_default());
    }

    async fn deliver(&self, target: &Target, frame: Vec<u8>) -> worker::Result<Vec<u8>> {
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(js_sys::Uint8Array::from(&*frame).into()));
        // The platform has its own copy.
        drop(frame);
        if self.asks_cost.get() {
            init.headers.set(SPENT_HEADER, "")?;
        }
        let request = Request::new_with_init(INTERNAL, &init)?;
        let began = ambient::now();
        let mut response = match target {
            Target::Storage => self.storage.fetch_request(request).await?,
            Target::Room(room_id) => self.rooms.get_by_name(room_id.as_str())?.fetch_with_request(request).await?,
            Target::User(user_id) => self.user(user_id)?.fetch_with_request(request).await?,
            Target::OneTimeStore(name) => self.one_time_stores.get_by_name(name)?.fetch_with_request(request).await?,
            Target::DeviceSignIn(name) => self.device_sign_ins.get_by_name(name)?.fetch_with_request(request).await?,
            Target::Relay(name) => self.relays.get_by_name(name)?.fetch_with_request(request).await?,
            Target::Destination(name) => {
                self.destinations.get_by_name(name.as_str())?.fetch_with_request(request).await?
            }
            Target::Service(id) => self.services.get_by_name(id)?.fetch_with_request(request).await?,
        };
        self.note(*target == Target::Storage, began, &response);
        if response.status_code() != 200 {
            return Err(worker::Error::RustError(format!("status {}", response.status_code())));
        }
        response.bytes().await
    }

    /// Asks the storage worker with content (a stream or bytes) beside the question, and brings the answer with the content
    /// beside it. Neither is read here.
    pub(crate) async fn ask_media<R: MediaRequest>(
        &self,
        ask: R,
        content: Option<JsValue>,
    ) -> Result<(R::Reply, ResponseBody), MatrixError> {
        self.standing().admit(ask.policy().suspended)?;
        let sent = self.send_content(&frame::write(&ask.into()), content).await;
        let (reply, content) = sent.map_err(|error| {
            console_error!("media: {error}");
            MatrixError::unavailable()
        })?;
        frame::read_reply(&reply).map(|reply| (reply, content))
    }

    async fn send_content(&self, command: &[u8], content: Option<JsValue>) -> worker::Result<(Vec<u8>, ResponseBody)> {
        let headers = Headers::new();
        headers.set(MEDIA_COMMAND, &URL_SAFE_NO_PAD.encode(command))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(content);
        let began = ambient::now();
        let response: Response = self.storage.fetch_request(Request::new_with_init(INTERNAL, &init)?).await?;
        self.note(true, began, &response);
        let status = response.status_code();
        let malformed = || worker::Error::RustError(format!("no reply, status {status}"));
        let reply = response.headers().get(REPLY_HEADER)?.ok_or_else(malformed)?;
        let reply = URL_SAFE_NO_PAD.decode(reply).map_err(|_| malformed())?;
        let (_, body) = response.into_parts();
        Ok((reply, body))
    }

    /// Asks the object that keeps sums of what requests cost, which is the storage worker's.
    pub(crate) async fn ask_metrics(&self, question: &str, frame: &[u8]) -> worker::Result<Response> {
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(js_sys::Uint8Array::from(frame).into()));
        init.headers.set(METRICS_HEADER, question)?;
        self.storage.fetch_request(Request::new_with_init(INTERNAL, &init)?).await
    }

    fn user(&self, user_id: &UserId) -> worker::Result<Stub> {
        self.users.get_by_name(user_id.as_str())
    }

    async fn upgrade(&self, user_id: &UserId, frame: &[u8]) -> worker::Result<PollReply<Socket>> {
        let headers = Headers::new();
        headers.set("upgrade", "websocket")?;
        headers.set(COMMAND_HEADER, &URL_SAFE_NO_PAD.encode(frame))?;
        if self.asks_cost.get() {
            headers.set(SPENT_HEADER, "")?;
        }
        let mut init = RequestInit::new();
        init.with_headers(headers);
        let request = Request::new_with_init(INTERNAL, &init)?;
        let began = ambient::now();
        let mut response = self.user(user_id)?.fetch_with_request(request).await?;
        self.note(false, began, &response);
        if response.status_code() == 200 {
            return Ok(PollReply::Answer(response.bytes().await?));
        }
        let status = response.status_code();
        let timeout_response = response.headers().get(TIMEOUT_RESPONSE_HEADER)?.and_then(timeout_response);
        let socket = response.websocket().ok_or_else(|| worker::Error::RustError(format!("status {status}")))?;
        socket.accept()?;
        Ok(PollReply::Waiting { socket: Socket(socket), timeout_response })
    }
}

fn timeout_response(header: String) -> Option<RawJson> {
    RawJson::parse(String::from_utf8(URL_SAFE_NO_PAD.decode(header).ok()?).ok()?).ok()
}

impl Transport for Wire {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        check_frame(&frame)?;
        let answer = self.deliver(target, frame).await.map_err(|error| Unreachable(error.to_string()))?;
        check_frame(&answer)?;
        Ok(answer)
    }

    fn standing(&self) -> Standing {
        self.standing.get()
    }
}

impl Polls for Wire {
    type Socket = Socket;

    async fn ask(&self, user_id: &UserId, frame: Vec<u8>) -> Result<PollReply<Socket>, Unreachable> {
        self.upgrade(user_id, &frame).await.map_err(|error| Unreachable(error.to_string()))
    }

    async fn sleep(&self, ms: u64) {
        Delay::from(std::time::Duration::from_millis(ms)).await;
    }
}

/// The proxy's end of a waiting socket.
pub(crate) struct Socket(WebSocket);

impl WaitingPoll for Socket {
    async fn woken(&mut self) -> Option<Vec<u8>> {
        // A close or an error without a message before it means: ask again.
        match self.0.events().ok()?.next().await?.ok()? {
            WebsocketEvent::Message(message) => message.text().map(String::into_bytes),
            WebsocketEvent::Close(_) => None,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A poll that timed out leaves no socket behind in the hub.
        let _closed = self.0.close(Some(1000), Some("done"));
    }
}
