//! The tables of a room's hub.

use tern_object_kit::schema::{NUMBER, READ_NUMBER, Schema, Step, WRITE_NUMBER};

/// A message costs two rows: the event and the entry of its id; one that relates to another, one more.
pub const SCHEMA: Schema = Schema {
    steps: &[
        FIRST,
        FORGOTTEN,
        RELATED,
        NUMBERED,
        crate::graph::state_groups::TABLES,
        crate::graph::resolution_changes::COLUMNS,
        crate::delivery::listeners::TABLE,
        crate::timeline::sticky::TABLE,
        crate::timeline::finalised::TABLES,
        crate::reads::related::ANNOTATIONS,
        crate::timeline::receipts::BOUNDED,
        crate::timeline::state_bytes::COLUMNS,
        crate::timeline::store::RECEIVED,
        crate::graph::side_events::CITED,
        crate::graph::waiting::TABLE,
        crate::delivery::servers::TABLES,
        crate::timeline::transactions::IN_MEMORY,
        crate::delivery::services::TABLES,
        crate::reads::before_join::TABLE,
    ],
    read: READ_NUMBER,
    write: WRITE_NUMBER,
    signs: &[
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'head'",
        "SELECT 1 FROM sqlite_master WHERE name = 'state' AND sql LIKE '%forgotten%'",
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'delayed'",
    ],
};

/// In a restored room everybody is told of the newest event again: members' hubs were read before this one, so they may not
/// have it, and whoever has a gap before it asks.
pub const RESTORED: &[&str] = &["UPDATE head SET announced = min(announced, max(tail, newest - 1))"];

/// `head` is the room in one row. `events` is the hot tail (positions above `head.tail`, without gaps), the journal (those
/// above `head.forwarded`) and, below the tail, the events of the current state. `state` says which event is the current
/// one; its index serves fan-out and heroes.
const FIRST: Step = &[
    "CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        version TEXT NOT NULL,
        newest INTEGER NOT NULL,
        depth INTEGER NOT NULL,
        extremities TEXT NOT NULL,
        forwarded INTEGER NOT NULL,
        announced INTEGER NOT NULL,
        tail INTEGER NOT NULL,
        joined INTEGER NOT NULL,
        invited INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        sender TEXT NOT NULL,
        state_key TEXT,
        ts INTEGER NOT NULL,
        pdu TEXT NOT NULL,
        unsigned TEXT,
        device_id TEXT,
        txn_id TEXT,
        redaction TEXT
    ) STRICT",
    "CREATE UNIQUE INDEX events_by_txn ON events (sender, device_id, txn_id, kind) WHERE txn_id IS NOT NULL",
    "CREATE TABLE state (
        kind TEXT NOT NULL,
        state_key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        membership TEXT,
        PRIMARY KEY (kind, state_key)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX members ON state (membership, seq) WHERE membership IS NOT NULL",
    "CREATE TABLE receipts (
        user_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        thread_id TEXT NOT NULL,
        event_id TEXT NOT NULL,
        seq INTEGER,
        ts INTEGER NOT NULL,
        PRIMARY KEY (user_id, kind, thread_id)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE laggards (user_id TEXT PRIMARY KEY, from_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID",
];

/// Members who have forgotten the room.
const FORGOTTEN: Step = &["ALTER TABLE state ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0"];

/// What events say of each other, and events that are sent later.
const RELATED: Step = &[
    "ALTER TABLE events ADD COLUMN
         relates_to TEXT GENERATED ALWAYS AS (pdu ->> '$.content.\"m.relates_to\".event_id') VIRTUAL",
    "ALTER TABLE events ADD COLUMN
         rel_type TEXT GENERATED ALWAYS AS (pdu ->> '$.content.\"m.relates_to\".rel_type') VIRTUAL",
    "CREATE INDEX relations ON events (relates_to) WHERE relates_to IS NOT NULL",
    crate::timeline::delayed::TABLE,
];

/// From here on the number is stored.
const NUMBERED: Step = &[NUMBER];
