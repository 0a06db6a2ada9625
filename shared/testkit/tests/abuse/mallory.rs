//! Somebody who has one account and bad intentions, and keeps to the rates that a server sets by default.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Value, json};
use tern_model::{BoundedVec, Caller, EventRef, MatrixError, Name, RawJson};
use tern_ports::{
    Target, ask_room, ask_user,
    wire::{
        delayed::DelayEvent,
        room::{Draft, MembershipAction, ReceiptDraft, SendEvent, SendReceipts, SetTyping},
        user::DeliverToDevice,
    },
};
use tern_testkit::{Client, World};

/// Of each class as many as come back in a minute.
const MESSAGES: u64 = 300;
const EPHEMERAL: u64 = 600;
const INVITES: u64 = 15;
/// Nearly as long as an event may be, and a to-device message.
const LONG: usize = 60_000;
const LONG_TO_DEVICE: usize = 120_000;

pub(crate) struct Mallory {
    world: World,
    client: Client,
    /// The room in which others are.
    room_id: OwnedRoomId,
    own_room: OwnedRoomId,
    victims: [OwnedUserId; 2],
    last: String,
    number: u64,
    refused: BTreeMap<String, u64>,
}

impl Mallory {
    pub(crate) fn new(world: &World, room_id: &RoomId, victims: [&Client; 2]) -> Self {
        let client = world.sign_in("mallory");
        world.run(client.change_membership(room_id, MembershipAction::Join));
        let own_room = world.run(client.create_public_room()).unwrap();
        for victim in victims {
            world.run(victim.change_membership(&own_room, MembershipAction::Join));
        }
        let last = world.run(client.send(room_id, "hello", "hello")).to_string();
        let victims = victims.map(|victim| victim.user_id.clone());
        let (world, room_id, refused) = (world.clone(), room_id.to_owned(), BTreeMap::new());
        Self { world, client, room_id, own_room, victims, last, number: 0, refused }
    }

    /// How often what was refused, by error.
    pub(crate) const fn refused(&self) -> &BTreeMap<String, u64> {
        &self.refused
    }

    /// The hub is the hostile account's own.
    pub(crate) fn owns(&self, target: &Target) -> bool {
        match target {
            Target::Room(room_id) => *room_id == self.own_room,
            Target::User(user_id) => *user_id == self.client.user_id,
            _ => false,
        }
    }

    /// All that may be done in a minute.
    pub(crate) async fn minute(&mut self, minute: u64) {
        for turn in 0..MESSAGES {
            self.number += 1;
            let done = match turn % 5 {
                0 => self.say(&json!({ "body": "x".repeat(LONG) })).await,
                1 => self.say(&self.threaded()).await,
                2 => self.set_state().await,
                3 => self.say(&self.related()).await,
                _ => self.delay().await,
            };
            self.note(done);
        }
        for turn in 0..EPHEMERAL {
            self.number += 1;
            let done = match turn % 3 {
                0 => self.receipt().await,
                1 => self.to_device().await,
                _ => self.typing().await,
            };
            self.note(done);
        }
        for turn in 0..INVITES {
            let done = self.invite(&format!("@nobody{minute}x{turn}:tern.test")).await;
            self.note(done);
        }
    }

    fn note(&mut self, done: Result<(), MatrixError>) {
        if let Err(error) = done {
            *self.refused.entry(format!("{} {}", error.status, error.errcode)).or_default() += 1;
        }
    }

    fn threaded(&self) -> Value {
        let root = format!("${}{}", self.number, "r".repeat(200));
        json!({ "body": "x", "m.relates_to": { "rel_type": "m.thread", "event_id": root } })
    }

    fn related(&self) -> Value {
        let length = if self.number.is_multiple_of(2) { LONG } else { 100 };
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": self.last, "key": format!("{}{}", self.number, "k".repeat(length)) } })
    }

    fn draft(&self, kind: &str, state_key: Option<String>, content: &Value) -> Draft {
        let sender = self.client.user_id.clone();
        let content = RawJson::from_value(content).unwrap();
        Draft { sender, kind: kind.to_owned(), state_key, content, redacts: None }
    }

    async fn send(&self, room_id: &RoomId, draft: Draft) -> Result<(), MatrixError> {
        let device_id = self.client.session().device_id;
        let txn_id = draft.state_key.is_none().then(|| format!("m{}", self.number));
        ask_room(&self.world, room_id, SendEvent { draft, device_id, txn_id, ts: None, sticky_ms: None })
            .await
            .map(drop)
    }

    async fn say(&self, content: &Value) -> Result<(), MatrixError> {
        self.send(&self.room_id, self.draft("m.room.message", None, content)).await
    }

    async fn set_state(&self) -> Result<(), MatrixError> {
        let key = Some(format!("{}", self.number % 400));
        let content = json!({ "text": format!("{}{}", self.number, "s".repeat(LONG)) });
        self.send(&self.own_room, self.draft("org.example.junk", key, &content)).await
    }

    async fn delay(&self) -> Result<(), MatrixError> {
        let draft = self.draft("m.room.message", None, &json!({ "body": "d".repeat(LONG) }));
        let (device_id, txn_id) = (self.client.session().device_id, Some(format!("d{}", self.number)));
        let ask = DelayEvent { draft, device_id, txn_id, delay_ms: 3_600_000, sticky_ms: None, ts: None };
        ask_room(&self.world, &self.room_id, ask).await.map(drop)
    }

    async fn receipt(&self) -> Result<(), MatrixError> {
        let receipt = ReceiptDraft {
            kind: Name::cut("m.read"),
            event_id: EventRef::try_from(&*self.last).unwrap(),
            thread_id: Some(Name::cut(format!("${}{}", self.number, "t".repeat(240)))),
        };
        let receipts = BoundedVec::cut(vec![receipt]);
        let ask = SendReceipts { user_id: self.client.user_id.clone(), receipts };
        ask_room(&self.world, &self.room_id, ask).await.map(drop)
    }

    async fn to_device(&self) -> Result<(), MatrixError> {
        let [one, other] = &self.victims;
        let victim = if self.number.is_multiple_of(2) { one } else { other };
        let content = RawJson::from_value(&json!({ "junk": "j".repeat(LONG_TO_DEVICE) })).unwrap();
        let sender = Caller { user_id: self.client.user_id.clone(), device_id: self.client.session().device_id };
        let ask = DeliverToDevice {
            sender,
            kind: "m.room.encrypted".to_owned(),
            txn_id: self.number.to_string(),
            messages: [("*".to_owned(), content)].into(),
        };
        ask_user(&self.world, victim, ask).await.map(drop)
    }

    async fn typing(&self) -> Result<(), MatrixError> {
        let ask = SetTyping { user_id: self.client.user_id.clone(), timeout_ms: 30_000 };
        ask_room(&self.world, &self.room_id, ask).await.map(drop)
    }

    async fn invite(&self, target: &str) -> Result<(), MatrixError> {
        let content = json!({ "membership": "invite", "reason": "i".repeat(LONG) });
        self.send(&self.own_room, self.draft("m.room.member", Some(target.to_owned()), &content)).await
    }
}
