//! Clients of the simulated cluster: they do what a careful client does, and keep what they have seen.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use tern_edge::{create, join, poll};
use tern_model::{Caller, MatrixError, RawJson};
use tern_ports::{
    Clock as _, ask_room, ask_storage, ask_user,
    wire::{
        room::{Draft, MembershipAction, ReadMessages, ReadStateEvent, SendEvent},
        storage::CreateUser,
        user::{OpenSession, SessionRef, SlidingSync},
    },
};

use super::World;

/// How long a client waits before it repeats a request that failed.
const RETRY_MS: u64 = 200;

/// How often it repeats one before the test gives up on the cluster.
const MOST_RETRIES: usize = 500;

/// A signed-in device.
#[derive(Clone)]
pub struct Client {
    world: World,
    /// The user.
    pub user_id: OwnedUserId,
    session: SessionRef,
}

impl Client {
    pub(super) async fn sign_in(world: &World, name: &str) -> Self {
        let user_id = UserId::parse(format!("@{name}:{}", world.config().server_name)).expect("the name is valid");
        let create = CreateUser {
            user_id: user_id.clone(),
            password_hash: Some(name.to_owned()),
            admin: false,
            ts: world.now(),
            registration_token: None,
            identifiers: Vec::new(),
        };
        ask_storage(world, create).await.expect("there is no other user of this name");
        let open =
            OpenSession { device_id: None, display_name: None, refresh: false, ip: None, user_id: user_id.clone() };
        let session = ask_user(world, &user_id, open).await.expect("the hub opens a session");
        let session = SessionRef { device_id: session.device_id, session_id: session.session_id };
        Self { world: world.clone(), user_id, session }
    }

    /// The same device, which finds another cluster at the address.
    #[must_use]
    pub fn moved(&self, world: &World) -> Self {
        Self { world: world.clone(), ..self.clone() }
    }

    /// The session, for commands to the user's hub.
    pub fn session(&self) -> SessionRef {
        self.session.clone()
    }

    /// Makes a room that everybody may join and read.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn create_public_room(&self) -> Result<OwnedRoomId, MatrixError> {
        let request = serde_json::from_value(json!({ "preset": "public_chat" })).expect("the request is valid");
        create::create_room(&self.world, self.world.config(), &self.user_id, &request).await
    }

    /// Joins or leaves, until that is done.
    ///
    /// # Panics
    /// When it never is.
    pub async fn change_membership(&self, room_id: &RoomId, action: MembershipAction) {
        let membership_change =
            join::MembershipChange { caller: &self.user_id, action, target: &self.user_id, reason: None };
        self.insist(async || join::change(&self.world, self.world.config(), room_id, membership_change).await).await;
    }

    /// Sends a message once.
    ///
    /// # Errors
    /// The server's refusal, or 503 when the answer does not come.
    pub async fn try_send(&self, room_id: &RoomId, txn_id: &str, body: &str) -> Result<OwnedEventId, MatrixError> {
        let draft = self.draft("m.room.message", &json!({ "msgtype": "m.text", "body": body }));
        self.try_send_draft(room_id, draft, Some(txn_id)).await
    }

    /// Sends a message with one transaction id until it is acknowledged.
    ///
    /// # Panics
    /// When it never is.
    pub async fn send(&self, room_id: &RoomId, txn_id: &str, body: &str) -> OwnedEventId {
        self.insist(async || self.try_send(room_id, txn_id, body).await).await
    }

    /// Takes an event back, until that is done.
    ///
    /// # Panics
    /// When it never is.
    pub async fn redact(&self, room_id: &RoomId, txn_id: &str, event_id: &EventId) -> OwnedEventId {
        let mut draft = self.draft("m.room.redaction", &json!({}));
        draft.redacts = Some(event_id.to_owned());
        self.insist(async || self.try_send_draft(room_id, draft.clone(), Some(txn_id)).await).await
    }

    /// Sets a state event with an empty state key, until that is done.
    ///
    /// # Panics
    /// When it never is.
    pub async fn set_state(&self, room_id: &RoomId, kind: &str, content: &Value) -> OwnedEventId {
        let draft = Draft { state_key: Some(String::new()), ..self.draft(kind, content) };
        self.insist(async || self.try_send_draft(room_id, draft.clone(), None).await).await
    }

    /// Sets the client's own member event as state, until that is done.
    ///
    /// # Panics
    /// When it never is.
    pub async fn set_member(&self, room_id: &RoomId, membership: &str) -> OwnedEventId {
        let member = self.draft("m.room.member", &json!({ "membership": membership }));
        let draft = Draft { state_key: Some(self.user_id.to_string()), ..member };
        self.insist(async || self.try_send_draft(room_id, draft.clone(), None).await).await
    }

    /// The client's own member event.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn member_event(&self, room_id: &RoomId) -> OwnedEventId {
        let event = self.insist(async || {
            let (caller, state_key) = (self.user_id.clone(), self.user_id.to_string());
            let read = ReadStateEvent { caller, kind: "m.room.member".to_owned(), state_key };
            ask_room(&self.world, room_id, read).await
        });
        event_id(&event.await)
    }

    fn draft(&self, kind: &str, content: &Value) -> Draft {
        Draft {
            sender: self.user_id.clone(),
            kind: kind.to_owned(),
            state_key: None,
            content: RawJson::from_value(content).expect("the content is JSON"),
            redacts: None,
        }
    }

    async fn try_send_draft(
        &self,
        room_id: &RoomId,
        draft: Draft,
        txn_id: Option<&str>,
    ) -> Result<OwnedEventId, MatrixError> {
        let (device_id, txn_id) = (self.session.device_id.clone(), txn_id.map(str::to_owned));
        Ok(ask_room(&self.world, room_id, SendEvent { draft, device_id, txn_id, ts: None, sticky_ms: None })
            .await?
            .event_id)
    }

    /// The whole room as `GET messages` shows it, oldest first, read in pages of `limit`.
    ///
    /// # Panics
    /// When a page never comes.
    pub async fn history(&self, room_id: &RoomId, backwards: bool, limit: u32) -> Vec<OwnedEventId> {
        let (mut from, mut events) = (None, Vec::new());
        loop {
            let (page, end) = self.page(room_id, from, backwards, limit).await;
            events.extend(page);
            let Some(end) = end else { break };
            from = Some(end);
        }
        if backwards {
            events.reverse();
        }
        events
    }

    /// One page of `GET messages` and the token to go on with.
    async fn page(
        &self,
        room_id: &RoomId,
        from: Option<String>,
        backwards: bool,
        limit: u32,
    ) -> (Vec<OwnedEventId>, Option<String>) {
        let page = self.insist(async || {
            let caller = Caller { user_id: self.user_id.clone(), device_id: self.session.device_id.clone() };
            let read = ReadMessages {
                caller,
                from: from.clone(),
                to: None,
                backwards,
                limit,
                filter: None,
                ignored: BTreeSet::new(),
            };
            ask_room(&self.world, room_id, read).await
        });
        let page = page.await;
        (page.chunk.iter().map(event_id).collect(), page.end)
    }

    /// Repeats a request while the cluster cannot be reached.
    async fn insist<T>(&self, request: impl AsyncFn() -> Result<T, MatrixError>) -> T {
        for _ in 0..MOST_RETRIES {
            match request().await {
                Ok(value) => return value,
                Err(error) if error.status >= 500 => self.world.sleep(RETRY_MS).await,
                Err(error) => panic!("{} was refused: {error}", self.user_id),
            }
        }
        panic!("the cluster does not answer {}", self.user_id);
    }

    /// Starts to read a room by sliding sync.
    pub fn reader(&self, room_id: &RoomId, timeline_limit: u64) -> Reader {
        Reader {
            client: self.clone(),
            room_id: room_id.to_owned(),
            timeline_limit,
            pos: None,
            seen: Vec::new(),
            answers: 0,
            unread: 0,
            bump_stamp: 0,
        }
    }
}

/// A client's sliding sync of one room, with the timeline it has put together.
pub struct Reader {
    client: Client,
    room_id: OwnedRoomId,
    timeline_limit: u64,
    pos: Option<String>,
    /// The timeline so far: every event once, in the order shown.
    pub seen: Vec<OwnedEventId>,
    /// Answers taken in.
    pub answers: usize,
    /// `notification_count` as last told.
    pub unread: u64,
    /// `bump_stamp` as last told.
    pub bump_stamp: u64,
}

#[derive(Deserialize)]
struct Answer {
    pos: String,
    #[serde(default)]
    rooms: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct RoomPart {
    #[serde(default)]
    initial: bool,
    #[serde(default)]
    limited: bool,
    #[serde(default)]
    prev_batch: Option<String>,
    #[serde(default)]
    timeline: Vec<RawJson>,
    notification_count: Option<u64>,
    bump_stamp: Option<u64>,
}

impl Reader {
    /// The same reader, who finds another cluster at the address.
    #[must_use]
    pub fn moved(mut self, world: &World) -> Self {
        self.client = self.client.moved(world);
        self
    }

    /// One long poll. An answer that does not come is asked for again with the same `pos`, as clients do; false when the
    /// server could not be reached.
    ///
    /// # Panics
    /// When an answer shows an event twice or out of order.
    pub async fn sync(&mut self, timeout_ms: u64) -> bool {
        let client = self.client.clone();
        let body = json!({
            "conn_id": "reader",
            "lists": { "all": {
                "ranges": [[0, 99]],
                "timeline_limit": self.timeline_limit,
                "required_state": [["m.room.create", ""], ["m.room.member", "$LAZY"]],
            } },
        });
        let question = |may_wait| {
            let body = RawJson::from_value(&body).expect("the request is JSON");
            let (session, pos) = (client.session.clone(), self.pos.clone());
            SlidingSync { session, body, pos, stable: false, may_wait, presence: None }.into()
        };
        match poll::long_poll(&client.world, &client.world, &client.user_id, question, timeout_ms).await {
            Ok(polled) => {
                self.take(&polled.body).await;
                true
            }
            Err(error) if &*error.errcode == "M_UNKNOWN_POS" => {
                self.pos = None;
                true
            }
            Err(error) if error.status >= 500 => false,
            Err(error) => panic!("{} was refused: {error}", client.user_id),
        }
    }

    async fn take(&mut self, answer: &RawJson) {
        let answer: Answer = answer.read().expect("the answer has the shape of a sliding sync");
        self.answers += 1;
        self.pos = Some(answer.pos);
        let Some(room) = answer.rooms.get(self.room_id.as_str()) else { return };
        let room: RoomPart = serde_json::from_value(room.clone()).expect("the room has the shape of a sliding sync");
        self.unread = room.notification_count.unwrap_or(self.unread);
        self.bump_stamp = room.bump_stamp.unwrap_or(self.bump_stamp);
        let timeline: Vec<_> = room.timeline.iter().map(event_id).collect();
        if room.initial || room.limited {
            self.bridge(timeline, room.prev_batch).await;
        } else {
            self.append(timeline);
        }
    }

    /// A timeline that does not follow on what is known: fills the gap by pagination, up to the first known event.
    async fn bridge(&mut self, timeline: Vec<OwnedEventId>, prev_batch: Option<String>) {
        let known = |event: &OwnedEventId| self.seen.contains(event);
        let mut fresh = timeline;
        let mut from = prev_batch;
        while !self.seen.is_empty() && !fresh.iter().any(known) {
            let Some(token) = from else { break };
            let (page, end) = self.client.page(&self.room_id, Some(token), true, 7).await;
            if page.is_empty() && end.is_none() {
                break;
            }
            fresh.splice(0..0, page.into_iter().rev());
            from = end;
        }
        let first_new = fresh.iter().rposition(known).map_or(0, |last| last + 1);
        // What it repeats has to be the end of what is known, or part of it.
        let news = fresh.split_off(first_new);
        self.append(news);
    }

    fn append(&mut self, events: Vec<OwnedEventId>) {
        for event in events {
            assert!(!self.seen.contains(&event), "{} was shown {event} twice", self.client.user_id);
            self.seen.push(event);
        }
    }
}

fn event_id(event: &RawJson) -> OwnedEventId {
    #[derive(Deserialize)]
    struct Event {
        event_id: OwnedEventId,
    }
    event.read::<Event>().expect("an event in client form has an id").event_id
}
