//! Typing and receipts of users here, for the server: only in memory, and never sent by themselves to one that is away.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::{Map, Value, json};
use tern_model::{MatrixError, RawJson, ThreadId};
use tern_ports::{
    ObjectHost,
    wire::{
        Done,
        ephemeral::{ReadReceipt, SendEphemeral, Typist},
    },
};

use super::DestinationActor;

/// What waits at most of either kind; what is more is lost.
const MOST_WAITING: usize = 2_000;
/// Most EDUs of either kind in one transaction.
const MOST_EDUS: usize = 12;

/// Newest receipts, by whose they are and where.
type Receipts = BTreeMap<(OwnedRoomId, OwnedUserId), ReadReceipt>;

/// What waits.
#[derive(Default)]
pub(super) struct Ephemeral {
    typing: RefCell<BTreeMap<(OwnedRoomId, OwnedUserId), bool>>,
    /// An EDU has one receipt of a user in a room, so each thread has its own.
    receipts: RefCell<BTreeMap<Option<ThreadId>, Receipts>>,
}

/// What is sent beside what is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fleeting {
    pub(super) typing: Vec<RawJson>,
    pub(super) receipts: Vec<RawJson>,
}

impl Fleeting {
    pub(super) fn is_empty(&self) -> bool {
        self.typing.is_empty() && self.receipts.is_empty()
    }
}

impl<H: ObjectHost> DestinationActor<H> {
    /// Takes over what somebody does, and begins to tell of it.
    pub(super) fn send_ephemeral(self: &Rc<Self>, ask: SendEphemeral) -> Result<Done, MatrixError> {
        if !self.config.federation.meets(self.name.as_str()) {
            return Ok(Done {});
        }
        self.open_queue()?;
        self.ephemeral.add(ask);
        self.start_sending();
        Ok(Done {})
    }
}

impl Ephemeral {
    /// What is newer takes the place of what it makes worthless.
    fn add(&self, ask: SendEphemeral) {
        let SendEphemeral { room_id, typing, receipts } = ask;
        let mut waiting = self.typing.borrow_mut();
        for Typist { user_id, typing } in typing {
            let place = (room_id.clone(), user_id);
            if waiting.len() < MOST_WAITING || waiting.contains_key(&place) {
                waiting.insert(place, typing);
            }
        }
        let mut waiting = self.receipts.borrow_mut();
        for receipt in receipts {
            let place = (room_id.clone(), receipt.user_id.clone());
            let all: usize = waiting.values().map(BTreeMap::len).sum();
            let of_thread = waiting.entry(receipt.thread_id.clone()).or_default();
            if all < MOST_WAITING || of_thread.contains_key(&place) {
                of_thread.insert(place, receipt);
            }
        }
    }

    /// Takes what goes into one transaction.
    pub(super) fn take(&self) -> Fleeting {
        let mut typing = self.typing.borrow_mut();
        let some: BTreeSet<_> = typing.keys().take(MOST_EDUS).cloned().collect();
        let taken: Vec<_> = typing.extract_if(.., |place, _| some.contains(place)).collect();
        let typing = taken.into_iter().map(|((room_id, user_id), typing)| {
            let content = json!({ "room_id": room_id, "user_id": user_id, "typing": typing });
            json!({ "edu_type": "m.typing", "content": content })
        });
        let mut threads = self.receipts.borrow_mut();
        let mut receipts = Vec::new();
        while receipts.len() < MOST_EDUS
            && let Some((_, of_thread)) = threads.pop_first()
        {
            receipts.push(json!({ "edu_type": "m.receipt", "content": described(of_thread) }));
        }
        let raw = |edu: Value| RawJson::from_value(&edu).ok();
        Fleeting { typing: typing.filter_map(raw).collect(), receipts: receipts.into_iter().filter_map(raw).collect() }
    }
}

/// Receipts by room and user (Server-Server API, `m.receipt`).
fn described(receipts: BTreeMap<(OwnedRoomId, OwnedUserId), ReadReceipt>) -> Value {
    let mut rooms = BTreeMap::<_, Map<String, Value>>::new();
    for ((room_id, user_id), receipt) in receipts {
        let mut data = Map::from_iter([("ts".to_owned(), receipt.ts.0.into())]);
        data.extend(receipt.thread_id.map(|thread_id| ("thread_id".to_owned(), thread_id.as_str().into())));
        let read = json!({ "data": data, "event_ids": [receipt.event_id] });
        rooms.entry(room_id).or_default().insert(user_id.to_string(), read);
    }
    let rooms = rooms.into_iter().map(|(room_id, users)| (room_id.to_string(), json!({ "m.read": users })));
    Value::Object(rooms.collect())
}
