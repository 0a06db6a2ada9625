//! The tables of a room's hub.

use tern_ports::{Sql, SqlError};

/// `head` is the room in one row. `events` is the hot tail (positions above `head.tail`, without gaps), the journal (those
/// above `head.forwarded`) and, below the tail, the events of the current state. `state` says which event is the current
/// one; its index serves fan-out and heroes. A message costs four rows: the event, its two index rows, the head; one that
/// relates to another, one more.
const TABLES: [&str; 9] = [
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
        redaction TEXT,
        relates_to TEXT GENERATED ALWAYS AS (pdu ->> '$.content.\"m.relates_to\".event_id') VIRTUAL,
        rel_type TEXT GENERATED ALWAYS AS (pdu ->> '$.content.\"m.relates_to\".rel_type') VIRTUAL
    ) STRICT",
    "CREATE INDEX relations ON events (relates_to) WHERE relates_to IS NOT NULL",
    "CREATE UNIQUE INDEX events_by_txn ON events (sender, device_id, txn_id, kind) WHERE txn_id IS NOT NULL",
    "CREATE TABLE state (
        kind TEXT NOT NULL,
        state_key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        membership TEXT,
        forgotten INTEGER NOT NULL DEFAULT 0,
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
    super::delayed::TABLE,
];

/// Makes the tables, inside the transaction that makes the room: an object asked for a room that does not exist stays
/// empty.
pub(super) fn create(sql: &impl Sql) -> Result<(), SqlError> {
    for statement in TABLES {
        sql.query(statement, &[])?;
    }
    Ok(())
}

/// This object holds a room.
pub(super) fn exists(sql: &impl Sql) -> Result<bool, SqlError> {
    let found = sql.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'head'", &[])?;
    Ok(!found.is_empty())
}
