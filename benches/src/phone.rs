//! A signed-in device, and what the edge does with its requests before a hub sees them.

use std::cell::Cell;

use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use tern_auth::{Check, token::mint};
use tern_edge::poll::long_poll;
use tern_model::{BoundedVec, Caller, EventRef, Name, RawJson};
use tern_ports::{
    Clock, ask_room, ask_user,
    wire::{
        room::{ChangeMembership, Draft, MembershipAction, ReceiptDraft, SendEvent, SendReceipts, SetTyping},
        user::{CheckSession, ClassicSync, OpenSession, SessionRef, SlidingSync},
    },
};

use crate::Cluster;

/// A device. Its requests fail only when the server is broken, and then the benchmark stops.
pub struct Phone {
    cluster: Cluster,
    /// The user.
    pub user_id: OwnedUserId,
    session: SessionRef,
    token: String,
    transactions: Cell<u64>,
}

impl Phone {
    /// Signs `name` in.
    pub fn sign_in(cluster: &Cluster, name: &str) -> Self {
        let config = cluster.config();
        let user_id = UserId::parse(format!("@{name}:{}", config.server_name)).expect("the name is valid");
        let open = OpenSession {
            device_id: Some("PHONE".into()),
            display_name: None,
            refresh: false,
            ip: None,
            user_id: user_id.clone(),
        };
        let session = cluster.run(ask_user(cluster, &user_id, open)).expect("the hub opens a session");
        let session = SessionRef { device_id: session.device_id, session_id: session.session_id };
        let caller = Caller { user_id: user_id.clone(), device_id: session.device_id.clone() };
        let token = mint(config, &caller, &session.session_id, false, cluster.now(), [0; 6]).expect("the key is good");
        Self { cluster: cluster.clone(), user_id, session, token: token.access_token, transactions: Cell::new(0) }
    }

    /// The session, for commands to the user's hub.
    pub(crate) fn session(&self) -> SessionRef {
        self.session.clone()
    }

    /// The access token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The device was in touch with its hub a moment ago, as one that syncs is.
    pub fn is_online(&self) {
        let now = self.cluster.now();
        let mut tokens = self.cluster.tokens().borrow_mut();
        tokens.check(self.cluster.config(), &self.token, now);
        tokens.confirm(&self.token, now);
    }

    /// The edge lets the request pass; it asks the user's hub when that was last asked more than five seconds ago.
    async fn admit(&self) {
        let now = self.cluster.now();
        let check = self.cluster.tokens().borrow_mut().check(self.cluster.config(), &self.token, now);
        match check {
            Check::Fresh(_) => {}
            Check::Confirm(_) => {
                self.check_in().await;
            }
            Check::Refused(error) => panic!("{}: {error}", self.user_id),
        }
    }

    /// The hub sees the device now, and need not note that again for a while.
    pub async fn check_in(&self) {
        let session = self.session.clone();
        ask_user(&self.cluster, &self.user_id, CheckSession { session }).await.expect("the session is open");
        self.is_online();
    }

    /// `POST join`.
    pub async fn join(&self, room_id: &RoomId) {
        let join = ChangeMembership {
            caller: self.user_id.clone(),
            action: MembershipAction::Join,
            target: self.user_id.clone(),
            reason: None,
            content: None,
        };
        ask_room(&self.cluster, room_id, join).await.expect("the room is public");
    }

    /// The command behind `PUT send/m.room.message/{txnId}`.
    pub fn message(&self, text: &str) -> SendEvent {
        let number = self.transactions.get() + 1;
        self.transactions.set(number);
        let draft = Draft {
            sender: self.user_id.clone(),
            kind: "m.room.message".to_owned(),
            state_key: None,
            content: raw(&json!({ "msgtype": "m.text", "body": text })),
            redacts: None,
        };
        SendEvent {
            draft,
            device_id: self.session.device_id.clone(),
            txn_id: Some(format!("m{number:08}")),
            ts: None,
            sticky_ms: None,
        }
    }

    /// `PUT send/m.room.message/{txnId}`.
    pub async fn send(&self, room_id: &RoomId, text: &str) -> OwnedEventId {
        self.admit().await;
        let sent = ask_room(&self.cluster, room_id, self.message(text)).await;
        sent.expect("the message is accepted").event_id
    }

    /// `PUT typing/{userId}`.
    pub async fn set_typing(&self, room_id: &RoomId, timeout_ms: u64) {
        self.admit().await;
        let typing = SetTyping { user_id: self.user_id.clone(), timeout_ms };
        ask_room(&self.cluster, room_id, typing).await.expect("members may type");
    }

    /// `POST receipt/m.read/{eventId}`.
    pub async fn read(&self, room_id: &RoomId, event_id: &EventId) {
        self.admit().await;
        let event_id = EventRef::new(event_id).expect("the id is short");
        let receipt = ReceiptDraft { kind: Name::cut("m.read"), event_id, thread_id: None };
        let receipts = SendReceipts { user_id: self.user_id.clone(), receipts: BoundedVec::cut(vec![receipt]) };
        ask_room(&self.cluster, room_id, receipts).await.expect("members may read");
    }

    /// A first classic sync.
    pub async fn classic(&self) -> RawJson {
        let session = self.session.clone();
        let question = |may_wait| {
            let session = session.clone();
            let (since, filter, state_after, presence) = Default::default();
            ClassicSync {
                session,
                since,
                filter,
                full_state: false,
                state_after,
                may_wait,
                presence,
                rooms_alone: false,
            }
            .into()
        };
        long_poll(&self.cluster, &self.cluster, &self.user_id, question, 0).await.expect("the hub answers").body
    }

    /// Sliding sync on the unstable path.
    pub async fn sync(&self, request: &RawJson, pos: Option<&str>, timeout_ms: u64) -> Synced {
        let question = |may_wait| {
            let (session, pos) = (self.session.clone(), pos.map(str::to_owned));
            SlidingSync { session, body: request.clone(), pos, stable: false, may_wait, presence: None }.into()
        };
        let polled = long_poll(&self.cluster, &self.cluster, &self.user_id, question, timeout_ms).await;
        self.is_online();
        Synced(polled.expect("the hub answers").body)
    }
}

/// The body of a sync's answer.
pub struct Synced(pub RawJson);

impl Synced {
    /// The position to go on from.
    pub fn pos(&self) -> String {
        self.value().get("pos").and_then(Value::as_str).expect("every answer has a position").to_owned()
    }

    /// Rooms told of.
    pub fn rooms(&self) -> usize {
        self.value().get("rooms").and_then(Value::as_object).map_or(0, serde_json::Map::len)
    }

    /// Timeline events told of.
    pub fn events(&self) -> usize {
        let value = self.value();
        let rooms = value.get("rooms").and_then(Value::as_object).into_iter().flat_map(serde_json::Map::values);
        rooms.filter_map(|room| room.get("timeline")?.as_array()).map(Vec::len).sum()
    }

    /// `notification_count` of the only room.
    pub fn unread(&self) -> Option<u64> {
        self.value().get("rooms")?.as_object()?.values().next()?.get("notification_count")?.as_u64()
    }

    /// Bytes of the body.
    pub fn bytes(&self) -> u64 {
        self.0.text().len() as u64
    }

    fn value(&self) -> Value {
        self.0.read().expect("the answer is JSON")
    }
}

/// A request as clients of today send it: one list over the first `rooms` rooms, and every extension.
pub fn sync_request(rooms: usize, timeline_limit: u64) -> RawJson {
    let enabled = json!({ "enabled": true });
    raw(&json!({
        "conn_id": "main",
        "lists": { "all_rooms": {
            "ranges": [[0, rooms.saturating_sub(1)]],
            "timeline_limit": timeline_limit,
            "required_state": [
                ["m.room.create", ""], ["m.room.name", ""], ["m.room.avatar", ""], ["m.room.canonical_alias", ""],
                ["m.room.encryption", ""], ["m.room.join_rules", ""], ["m.room.power_levels", ""],
                ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
            ],
        } },
        "extensions": {
            "to_device": enabled, "e2ee": enabled, "account_data": enabled, "receipts": enabled, "typing": enabled,
        },
    }))
}

pub(crate) fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).expect("it is JSON")
}
