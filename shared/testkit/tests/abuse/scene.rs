//! Somebody hostile, and two others who share a room with them and have one of their own.

use std::{cell::Cell, collections::BTreeSet};

use futures::future::LocalBoxFuture;
use ruma::{OwnedEventId, OwnedRoomId, RoomId};
use serde_json::{Value, json};
use tern_edge::create;
use tern_model::{BoundedVec, Caller, Class, EventRef, MatrixError, Name, RawJson};
use tern_ports::{
    ask_room, ask_user,
    wire::{
        RoomRequest, UserRequest,
        room::{Draft, MembershipAction, ReadMessages, ReceiptDraft, SendEvent, SendReceipts},
        user::{ClassicSync, SlidingSync, SyncStep},
    },
};
use tern_testkit::{Client, Work, World};

/// About the longest that fits an event.
pub(crate) const LONG: usize = 60_000;

/// Something that can be done again and again, and the limit that it counts for.
pub(crate) struct Deed {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) what: for<'a> fn(&'a Scene, u64) -> Act<'a>,
}

/// What becomes of a request.
pub(crate) type Asked<T> = Result<T, MatrixError>;

pub(crate) type Act<'a> = LocalBoxFuture<'a, Result<(), MatrixError>>;

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) mallory: Client,
    pub(crate) alice: Client,
    pub(crate) bob: Client,
    /// Mallory has made it, Alice and Bob are in it.
    pub(crate) room_id: OwnedRoomId,
    /// Of Alice and Bob.
    quiet: OwnedRoomId,
    asked: Cell<u64>,
}

pub(crate) fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

/// A text that is as long and no other.
pub(crate) fn long(number: u64, length: usize) -> String {
    format!("{number} {}", "x".repeat(length))
}

impl Scene {
    pub(crate) fn new() -> Self {
        let world = World::new(7);
        let [mallory, alice, bob] = ["mallory", "alice", "bob"].map(|name| world.sign_in(name));
        let room_id = world.run(mallory.create_public_room()).unwrap();
        let quiet = world.run(alice.create_public_room()).unwrap();
        world.run(alice.change_membership(&room_id, MembershipAction::Join));
        for room_id in [&room_id, &quiet] {
            world.run(bob.change_membership(room_id, MembershipAction::Join));
        }
        // They have talked for a while: syncs have a full inbox to look at.
        for number in 0..80 {
            world.run(alice.send(&room_id, &format!("talk{number}"), "an ordinary message"));
        }
        world.pass(60_000);
        Self { world, mallory, alice, bob, room_id, quiet, asked: Cell::new(0) }
    }

    /// Mallory asks their own hub.
    pub(crate) async fn own<R: UserRequest>(&self, request: R) -> Result<(), MatrixError> {
        ask_user(&self.world, &self.mallory.user_id, request).await.map(drop)
    }

    pub(crate) async fn in_room<R: RoomRequest>(&self, request: R) -> Result<R::Reply, MatrixError> {
        ask_room(&self.world, &self.room_id, request).await
    }

    pub(crate) fn event(&self, kind: &str, state_key: Option<String>, content: &Value) -> Draft {
        let sender = self.mallory.user_id.clone();
        Draft { sender, kind: kind.to_owned(), state_key, content: raw(content), redacts: None }
    }

    /// Mallory sends an event.
    pub(crate) async fn send(&self, draft: Draft, sticky_ms: Option<u64>) -> Asked<()> {
        self.sent(draft, sticky_ms).await.map(drop)
    }

    /// The same, and its id.
    pub(crate) async fn sent(&self, draft: Draft, sticky_ms: Option<u64>) -> Asked<OwnedEventId> {
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        let txn_id = draft.state_key.is_none().then(|| format!("mallory{asked}"));
        let device_id = self.mallory.session().device_id;
        let reply = self.in_room(SendEvent { draft, device_id, txn_id, ts: None, sticky_ms }).await?;
        Ok(reply.event_id.clone())
    }

    /// A room of Mallory's to which others are invited.
    pub(crate) async fn invite_into_new(&self, request: &Value) -> Result<OwnedRoomId, MatrixError> {
        let request = serde_json::from_value(request.clone()).unwrap();
        create::create_room(&self.world, self.world.config(), &self.mallory.user_id, &request).await
    }

    /// What requests of others cost, with all that follows from them: the median of so many, after one that takes in what has
    /// been waiting.
    ///
    /// What cannot be answered any more is an error.
    pub(crate) fn requests(&self, times: usize) -> Vec<(&'static str, Asked<Work>)> {
        type Ask = fn(&Scene) -> Asked<()>;
        let asks: [(&'static str, Ask); 7] = [
            ("a message beside the attacker", |scene| scene.say(&scene.room_id)),
            ("a message elsewhere", |scene| scene.say(&scene.quiet)),
            ("a receipt", Self::read_newest),
            ("a live sync", |scene| scene.sync("live")),
            ("a first sync", |scene| scene.sync(&format!("first{}", scene.next()))),
            ("a classic sync", Self::classic),
            ("a page of messages", Self::page),
        ];
        let median = |ask: Ask| -> Asked<Work> {
            ask(self)?;
            let cost = |_| -> Asked<Work> {
                let before = self.world.work();
                ask(self)?;
                self.world.pass(10_000);
                Ok(self.world.work() - before)
            };
            let mut costs = (0..times).map(cost).collect::<Asked<Vec<Work>>>()?;
            costs.sort_by_key(|work| work.steps);
            Ok(costs.remove(times / 2))
        };
        asks.into_iter().map(|(name, ask)| (name, median(ask))).collect()
    }

    fn next(&self) -> u64 {
        self.asked.set(self.asked.get() + 1);
        self.asked.get()
    }

    fn say(&self, room_id: &RoomId) -> Asked<()> {
        self.world.run(self.alice.try_send(room_id, &format!("say{}", self.next()), "hello")).map(drop)
    }

    fn read_newest(&self) -> Asked<()> {
        self.say(&self.room_id)?;
        let page = self.world.run(ask_room(&self.world, &self.room_id, self.newest(1)))?;
        let event: Value = page.chunk.first().unwrap().read().unwrap();
        let event_id = OwnedEventId::try_from(event["event_id"].as_str().unwrap()).unwrap();
        let receipt =
            ReceiptDraft { kind: Name::cut("m.read"), event_id: EventRef::new(event_id).unwrap(), thread_id: None };
        let receipts = BoundedVec::new(vec![receipt]).unwrap();
        let ask = SendReceipts { user_id: self.alice.user_id.clone(), receipts };
        self.world.run(ask_room(&self.world, &self.room_id, ask)).map(drop)
    }

    fn newest(&self, limit: u32) -> ReadMessages {
        let caller = Caller { user_id: self.alice.user_id.clone(), device_id: self.alice.session().device_id };
        ReadMessages { caller, from: None, to: None, backwards: true, limit, filter: None, ignored: BTreeSet::new() }
    }

    fn page(&self) -> Asked<()> {
        self.world.run(ask_room(&self.world, &self.room_id, self.newest(20))).map(drop)
    }

    /// Bob's sync of everything, from its start.
    fn sync(&self, conn_id: &str) -> Asked<()> {
        let body = json!({
            "conn_id": conn_id,
            "lists": { "all": { "ranges": [[0, 99]], "timeline_limit": 10, "required_state": [["m.room.name", ""]] } },
            "extensions": {
                "to_device": { "enabled": true }, "e2ee": { "enabled": true }, "account_data": { "enabled": true },
                "receipts": { "enabled": true }, "typing": { "enabled": true },
            },
        });
        let ask = SlidingSync {
            session: self.bob.session(),
            body: raw(&body),
            pos: None,
            stable: false,
            may_wait: false,
            presence: None,
        };
        let step = self.world.run(ask_user(&self.world, &self.bob.user_id, ask))?;
        assert!(matches!(step, SyncStep::Answer(_)), "{step:?}");
        Ok(())
    }

    fn classic(&self) -> Asked<()> {
        let ask = ClassicSync {
            session: self.bob.session(),
            since: None,
            filter: None,
            full_state: false,
            state_after: None,
            may_wait: false,
            presence: None,
            rooms_alone: false,
        };
        let step = self.world.run(ask_user(&self.world, &self.bob.user_id, ask))?;
        assert!(matches!(step, SyncStep::Answer(_)), "{step:?}");
        Ok(())
    }
}
