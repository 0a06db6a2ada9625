//! The tables that a backup has, in the order in which they are restored; they are read the other way round.
//!
//! Left out are copies that are made again (`public_keys`: the hubs hold the truth and write it when first asked; `levels`)
//! and what concerns only this bucket (`graves`).

use serde::Serialize;
use tern_model::{MatrixError, RawJson};

use crate::sql::{Database, Databases};

/// A table, and the statements that read and write its rows as JSON objects.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [&'static str],
    /// The first rows: `line` and, of its key alone, `place`.
    pub(super) first: &'static str,
    /// Those after the place `?1`.
    pub(super) next: &'static str,
    /// Writes the rows in `?1`, a list; again, if they are there.
    pub(super) write: &'static str,
}

/// Rows in a page, and bytes that may be before its last row.
macro_rules! within {
    ($rows:expr) => {
        concat!(
            "SELECT line AS line, place AS place FROM (\
               SELECT line, place, sum(octets) OVER (ROWS UNBOUNDED PRECEDING) - octets AS earlier FROM (\
                 SELECT line, place, length(CAST(line AS BLOB)) AS octets FROM (",
            $rows,
            " LIMIT 1000))) WHERE earlier < 900000"
        )
    };
}

macro_rules! table {
    ($name:literal, [$key:ident $(, $keys:ident)*] $(, $column:ident)*) => {
        Table {
            name: $name,
            columns: &[stringify!($key) $(, stringify!($keys))* $(, stringify!($column))*],
            first: within!(concat!(
                table!(@rows $name, [$key $(, $keys)*] $(, $column)*),
                " ORDER BY ", stringify!($key) $(, ", ", stringify!($keys))*
            )),
            next: within!(concat!(
                table!(@rows $name, [$key $(, $keys)*] $(, $column)*),
                " WHERE (", stringify!($key) $(, ", ", stringify!($keys))*,
                ") > (?1 ->> '", stringify!($key), "'" $(, ", ?1 ->> '", stringify!($keys), "'")*,
                ") ORDER BY ", stringify!($key) $(, ", ", stringify!($keys))*
            )),
            write: concat!(
                "INSERT OR REPLACE INTO ", $name, " (", stringify!($key) $(, ", ", stringify!($keys))*
                $(, ", ", stringify!($column))*,
                ") SELECT j.value ->> '", stringify!($key), "'" $(, ", j.value ->> '", stringify!($keys), "'")*
                $(, ", j.value ->> '", stringify!($column), "'")*,
                " FROM json_each(?1) j"
            ),
        }
    };
    (@rows $name:literal, [$key:ident $(, $keys:ident)*] $(, $column:ident)*) => {
        concat!(
            "SELECT json_object('", stringify!($key), "', ", stringify!($key)
            $(, ", '", stringify!($keys), "', ", stringify!($keys))* $(, ", '", stringify!($column), "', ", stringify!($column))*,
            ") AS line, json_object('", stringify!($key), "', ", stringify!($key)
            $(, ", '", stringify!($keys), "', ", stringify!($keys))*,
            ") AS place FROM ", $name
        )
    };
}

/// Of GLOBAL; the users come last, so that a server is empty until all else is there.
const GLOBAL: &[Table] = &[
    table!("placements", [room_id], shard, version),
    table!("aliases", [alias], room_id, creator, created),
    table!("directory", [room_id], published),
    table!("network_rooms", [network, room_id]),
    table!("room_facts", [room_id], as_of, joined, room_type, folded, facts),
    table!("profiles", [user_id], displayname, avatar_url, folded),
    table!("reports", [num], reporter, room_id, event_id, user_id, reason, ts),
    table!("registration_tokens", [token], uses_allowed, expires, created),
    table!("audit", [id], ts, actor, action, target),
    table!("threepids", [medium, address], user_id, validated_at, added_at),
    table!("media", [origin, media_id], sha256, size, user_id, content_type, name, created),
    table!("blobs", [sha256], object, size, refs, withheld),
    table!("reservations", [media_id], user_id, expires),
    table!("backups", [num], user_id, version, algorithm, auth_data, etag, count, deleted, bytes, full),
    table!(
        "backup_sessions",
        [backup, room_id, session_id],
        first_message_index,
        forwarded_count,
        is_verified,
        session_data
    ),
    table!("pushkeys", [key, user_id], ts),
    table!("oauth_clients", [client_id], metadata, secret_hash, created, used),
    table!("oauth_keyring", [id], version, keyring),
    table!("server_keys", [server, key_id], key, valid_until, expired, seen),
    table!("server_key_responses", [server], seen, response),
    table!("server_key_figures", [id], servers),
    table!("server_troubles", [server], since),
    table!("users", [user_id], password_hash, admin, deactivated, created, locked, suspended, registered_with),
];

/// Of a shard; the state comes before the events, whose words are indexed only where it has no encryption.
const SHARD: &[Table] = &[
    table!("rooms", [num], room_id),
    table!("state_deltas", [room, kind, state_key, pos], event),
    table!("events", [pos], event_id, kind, sender, state_key, ts, pdu, unsigned, txn),
];

/// The tables of a database.
pub fn tables(database: Database) -> &'static [Table] {
    match database {
        Database::Global => GLOBAL,
        Database::Shard(_) => SHARD,
    }
}

/// All databases, the shards first.
pub(super) fn all(databases: &impl Databases) -> impl Iterator<Item = Database> {
    (0..databases.shards()).map(Database::Shard).chain([Database::Global])
}

/// An answer as it travels.
pub(super) fn shown<T: Serialize>(value: &T) -> Result<RawJson, MatrixError> {
    RawJson::from_value(value).map_err(|_| MatrixError::internal())
}
