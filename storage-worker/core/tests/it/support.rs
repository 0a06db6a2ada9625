//! A storage worker to ask, and rooms to put into it.

use std::rc::Rc;

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use tern_model::{MatrixError, Millis, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ask_storage,
    wire::{
        StorageRequest,
        storage::{AppendEvent, AppendEvents, Redaction},
        sync::{SyncAsk, SyncRoom},
    },
};
use tern_testkit::{Executor, StorageNode, d1::StorageOnly, network::Wire};

/// A storage worker and the wire to it.
pub(crate) struct Worker {
    pub(crate) node: Rc<StorageNode>,
    wire: Wire,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self::on(StorageNode::new())
    }

    pub(crate) fn on(node: Rc<StorageNode>) -> Self {
        let wire = Wire(Rc::new(StorageOnly(Rc::clone(&node))));
        Self { node, wire }
    }

    pub(crate) fn try_ask<R: StorageRequest>(&self, request: R) -> Result<R::Reply, MatrixError> {
        Executor::new().run(ask_storage(&self.wire, request))
    }

    pub(crate) fn ask<R: StorageRequest>(&self, request: R) -> R::Reply {
        self.try_ask(request).unwrap()
    }

    /// Appends and says how far the room is stored.
    pub(crate) fn append(&self, room_id: &RoomId, events: &[AppendEvent]) -> u64 {
        let room_id = room_id.to_owned();
        self.ask(AppendEvents { room_id, room_version: "12".to_owned(), events: events.to_vec(), facts: None })
            .through
            .0
    }

    pub(crate) fn sync_one(&self, ask: SyncAsk) -> SyncRoom {
        self.ask(tern_ports::wire::storage::SyncRooms { rooms: vec![ask] }).remove(0)
    }
}

pub(crate) fn room(name: &str) -> OwnedRoomId {
    RoomId::parse(format!("!{name}:tern.test")).unwrap()
}

pub(crate) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:tern.test")).unwrap()
}

pub(crate) fn event_id(room_id: &RoomId, seq: u64) -> OwnedEventId {
    EventId::parse(format!("${}-{seq}", room_id.as_str().trim_start_matches('!'))).unwrap()
}

/// An event; a state event when it has a state key.
pub(crate) fn event(
    room_id: &RoomId,
    seq: u64,
    sender: &str,
    kind: &str,
    state_key: Option<&str>,
    content: Value,
) -> AppendEvent {
    let sender = user(sender).to_string();
    let pdu = json!({ "type": kind, "sender": sender, "state_key": state_key, "content": content, "depth": seq });
    let event = StoredEvent {
        seq: RoomSeq(seq),
        event_id: event_id(room_id, seq),
        kind: kind.to_owned(),
        sender,
        state_key: state_key.map(str::to_owned),
        ts: Millis(1_790_000_000_000 + seq),
        pdu: RawJson::from_value(&pdu).unwrap(),
        unsigned: None,
        txn: None,
    };
    AppendEvent { event, is_state: state_key.is_some(), redaction: None, resolutions: Vec::new() }
}

pub(crate) fn message(room_id: &RoomId, seq: u64, sender: &str) -> AppendEvent {
    event(room_id, seq, sender, "m.room.message", None, json!({ "body": format!("message {seq}") }))
}

pub(crate) fn member(room_id: &RoomId, seq: u64, name: &str, membership: &str) -> AppendEvent {
    let key = user(name).to_string();
    event(room_id, seq, name, "m.room.member", Some(&key), json!({ "membership": membership }))
}

pub(crate) fn visibility(room_id: &RoomId, seq: u64, value: &str) -> AppendEvent {
    let content = json!({ "history_visibility": value });
    event(room_id, seq, "alice", "m.room.history_visibility", Some(""), content)
}

/// 1 create, 2 Alice joins, 3 visibility shared, 4 Bob joins, then messages of Alice up to `last`.
pub(crate) fn journal(room_id: &RoomId, last: u64) -> Vec<AppendEvent> {
    let mut events = vec![
        event(room_id, 1, "alice", "m.room.create", Some(""), json!({ "room_version": "12" })),
        member(room_id, 2, "alice", "join"),
        visibility(room_id, 3, "shared"),
        member(room_id, 4, "bob", "join"),
    ];
    events.extend((5..=last).map(|seq| message(room_id, seq, "alice")));
    events
}

/// The redaction `seq` of the event at `target`.
pub(crate) fn redaction(room_id: &RoomId, seq: u64, target: u64) -> AppendEvent {
    let mut append = event(room_id, seq, "alice", "m.room.redaction", None, json!({}));
    append.redaction = Some(Redaction {
        event_id: event_id(room_id, target),
        pdu: RawJson::from_value(&json!({ "type": "m.room.message", "content": {} })).unwrap(),
        unsigned: Some(RawJson::from_value(&json!({ "redacted_because": { "seq": seq } })).unwrap()),
        also: Vec::new(),
    });
    append
}

/// What Bob asks by default: the newest `limit` events.
pub(crate) fn newest(room_id: &RoomId, limit: u32) -> SyncAsk {
    SyncAsk {
        room_id: room_id.to_owned(),
        user_id: user("bob"),
        after: None,
        until: None,
        limit,
        state: Vec::new(),
        lazy: false,
        members: Vec::new(),
        replaced: false,
    }
}

pub(crate) fn seqs(events: &[StoredEvent]) -> Vec<u64> {
    events.iter().map(|event| event.seq.0).collect()
}

/// Positions and values of one list of facts.
pub(crate) fn facts(list: &[(RoomSeq, String)]) -> Vec<(u64, &str)> {
    list.iter().map(|(seq, value)| (seq.0, value.as_str())).collect()
}
