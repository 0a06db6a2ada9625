//! The tables of a user's hub.
//!
//! Every table with a text key is `WITHOUT ROWID`, so that a row costs one written row and not two. Positions named
//! `pos` are positions of the user's stream at which the row last changed.

use super::store::{
    connections, devices, grants, inbox_bytes, keys, outside_invites, places, publication, pushers, receipts, recent,
    resolved, shared_users, sticky, subscription, threads, to_device, upgraded,
};
use tern_object_kit::schema::{Schema, Step};

/// The number of steps stands in the hub's one row.
pub const SCHEMA: Schema = Schema {
    steps: &[
        FIRST,
        keys::TABLES,
        ANSWERS,
        grants::TABLES,
        UNREAD,
        DELAYED,
        super::standing::TABLES,
        threads::TABLES,
        super::presence::TABLES,
        shared_users::CHANGED,
        publication::TABLES,
        resolved::TABLE,
        subscription::TABLE,
        connections::ROOMS,
        sticky::TABLES,
        places::TABLE,
        devices::SETTLED,
        upgraded::TABLE,
        to_device::SENDERS,
        receipts::BOUNDED,
        pushers::TABLES,
        outside_invites::TABLE,
        inbox_bytes::COLUMN,
        recent::COLUMNS,
    ],
    read: "SELECT version FROM hub",
    write:
        "INSERT INTO hub (id, version, constructed, position, rooms, to_device, e2ee, account_data, receipts, relisted,
            opened) VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO UPDATE SET version = excluded.version",
    signs: &[],
};

/// Of a restored hub's public keys there is no copy yet. Its one-time keys may have been handed out since, and are not handed
/// out twice: devices make new ones when they are told that there are none. What happens from now on is beyond all positions
/// that clients may have been told after the backup.
pub const RESTORED: &[&str] = &[
    "UPDATE publication SET published = 0",
    "DELETE FROM one_time_key",
    "UPDATE hub SET position = position + 1048576",
];

/// Kept answers in columns of their own. `position` was for positions that only typing had, which has its own count now.
const ANSWERS: Step = &[
    "ALTER TABLE connection DROP COLUMN position",
    "ALTER TABLE connection ADD COLUMN body_0 TEXT",
    "ALTER TABLE connection ADD COLUMN body_1 TEXT",
    "ALTER TABLE connection ADD COLUMN body_2 TEXT",
    "ALTER TABLE connection ADD COLUMN body_3 TEXT",
];

/// Rooms in which the user may have scheduled events (MSC4140).
const DELAYED: Step = &["CREATE TABLE IF NOT EXISTS delayed_room (room_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID"];

const FIRST: Step = &[
    // One row: the stream's position, the newest position of each kind of news, and figures that ride along. What rows of
    // events and receipts say themselves it may not say yet: `store::recent`.
    "CREATE TABLE IF NOT EXISTS hub (
        id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, constructed INTEGER NOT NULL,
        position INTEGER NOT NULL, rooms INTEGER NOT NULL, to_device INTEGER NOT NULL, e2ee INTEGER NOT NULL,
        account_data INTEGER NOT NULL, receipts INTEGER NOT NULL, relisted INTEGER NOT NULL,
        opened INTEGER NOT NULL
    ) STRICT",
    // A device without a session was signed out by the server and may sign in again.
    "CREATE TABLE IF NOT EXISTS device (
        device_id TEXT PRIMARY KEY, session_id TEXT, display_name TEXT, last_seen_ts INTEGER NOT NULL,
        last_seen_ip TEXT, generation INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // SHA-256 of refresh tokens. `used` ones stay for a while, to know a stolen one when it comes back.
    "CREATE TABLE IF NOT EXISTS refresh_token (
        device_id TEXT NOT NULL, hash BLOB NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (device_id, hash)
    ) STRICT, WITHOUT ROWID",
    // `room_id` is empty for global data.
    "CREATE TABLE IF NOT EXISTS account_data (
        room_id TEXT NOT NULL, kind TEXT NOT NULL, content TEXT NOT NULL, pos INTEGER NOT NULL,
        PRIMARY KEY (room_id, kind)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS account_data_pos ON account_data (pos)",
    "CREATE TABLE IF NOT EXISTS filter (filter_id TEXT PRIMARY KEY, content TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS profile (field TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    // At most one row: how far a changed profile was carried into the user's rooms, in order of room id.
    "CREATE TABLE IF NOT EXISTS propagation (
        id INTEGER PRIMARY KEY CHECK (id = 1), change INTEGER NOT NULL, after_room TEXT NOT NULL,
        attempt INTEGER NOT NULL, failed INTEGER NOT NULL
    ) STRICT",
    // What every message changes. `pos`, `relisted`, `activity` and `bump` as in `tern_sync::RoomView`; events from
    // `inbox_from` to `newest` are in the inbox. A forgotten room keeps its row, so that a late notice stays known.
    "CREATE TABLE IF NOT EXISTS room (
        room_id TEXT PRIMARY KEY, membership TEXT NOT NULL, removed INTEGER NOT NULL, forgotten INTEGER NOT NULL,
        pos INTEGER NOT NULL, relisted INTEGER NOT NULL, activity INTEGER NOT NULL, bump INTEGER NOT NULL,
        newest INTEGER NOT NULL, inbox_from INTEGER NOT NULL, joined INTEGER NOT NULL, forwarded INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // What only state changes change.
    "CREATE TABLE IF NOT EXISTS room_facts (
        room_id TEXT PRIMARY KEY, summary TEXT, stripped TEXT
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS inbox (
        room_id TEXT NOT NULL, seq INTEGER NOT NULL, pos INTEGER NOT NULL, event_id TEXT NOT NULL, kind TEXT NOT NULL,
        sender TEXT NOT NULL, state_key TEXT, ts INTEGER NOT NULL, client TEXT NOT NULL, txn_device TEXT, txn_id TEXT,
        PRIMARY KEY (room_id, seq)
    ) STRICT, WITHOUT ROWID",
    // `thread_id` is empty for an unthreaded receipt.
    "CREATE TABLE IF NOT EXISTS receipt (
        room_id TEXT NOT NULL, user_id TEXT NOT NULL, kind TEXT NOT NULL, thread_id TEXT NOT NULL,
        event_id TEXT NOT NULL, seq INTEGER, ts INTEGER NOT NULL, pos INTEGER NOT NULL,
        PRIMARY KEY (room_id, user_id, kind, thread_id)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS receipt_pos ON receipt (pos)",
    "CREATE TABLE IF NOT EXISTS to_device (
        device_id TEXT NOT NULL, pos INTEGER NOT NULL, message TEXT NOT NULL, PRIMARY KEY (device_id, pos)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS to_device_txn (
        sender TEXT NOT NULL, device_id TEXT NOT NULL, txn_id TEXT NOT NULL, ts INTEGER NOT NULL,
        PRIMARY KEY (sender, device_id, txn_id)
    ) STRICT, WITHOUT ROWID",
    // Sliding sync. `position` is the newest that the device was told of.
    "CREATE TABLE IF NOT EXISTS connection (
        device_id TEXT NOT NULL, conn_id TEXT NOT NULL, used INTEGER NOT NULL, position INTEGER NOT NULL,
        revision INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (device_id, conn_id)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS connection_part (
        device_id TEXT NOT NULL, conn_id TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (device_id, conn_id, number)
    ) STRICT, WITHOUT ROWID",
    // Users whose devices may have changed.
    "CREATE TABLE IF NOT EXISTS device_list (user_id TEXT PRIMARY KEY, pos INTEGER NOT NULL) STRICT, WITHOUT ROWID",
];

/// What is unread. Sums stand in the room's row, marks in the inbox beside their events; when these go, what is unread of
/// them is packed. So a message costs no row more for being counted.
const UNREAD: Step = &[
    "ALTER TABLE room ADD COLUMN notifications INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE room ADD COLUMN highlights INTEGER NOT NULL DEFAULT 0",
    // As in `tern_push::UnreadCounts`: read up to here in all threads, and in the main timeline.
    "ALTER TABLE room ADD COLUMN read INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE room ADD COLUMN read_main INTEGER NOT NULL DEFAULT 0",
    // The other threads, as JSON.
    "ALTER TABLE room ADD COLUMN threads TEXT",
    // The room has rows in `packed`.
    "ALTER TABLE room ADD COLUMN packed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE room_facts ADD COLUMN own_name TEXT",
    // The root of the event's thread, and its mark: 1 notifies, 2 highlights as well.
    "ALTER TABLE inbox ADD COLUMN thread TEXT",
    "ALTER TABLE inbox ADD COLUMN mark INTEGER NOT NULL DEFAULT 0",
    // Unread marks from `first` on, as JSON.
    "CREATE TABLE IF NOT EXISTS packed (
        room_id TEXT NOT NULL, first INTEGER NOT NULL, marks TEXT NOT NULL, PRIMARY KEY (room_id, first)
    ) STRICT, WITHOUT ROWID",
    // Events that the hub was not told of and that have to be fetched to be counted.
    "CREATE TABLE IF NOT EXISTS missed (
        room_id TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (room_id, first)
    ) STRICT, WITHOUT ROWID",
];
