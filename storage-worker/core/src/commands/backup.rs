//! Backups of room keys. Number of keys and etag change in the batch that changes the keys, so they are always exact.

use serde::Serialize;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Row, Value,
    wire::{
        Done,
        backup::{
            Backup, BackupKey, BackupState, BackupStored, CreateBackup, DeleteBackup, DeleteBackupKeys, DropBackups,
            KeyRange, ReadBackup, ReadBackupKeys, StoreBackupKeys, UpdateBackup,
        },
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run, run_all},
};

/// Keys in one parameter, in bytes: a text of D1 has at most two million, and quotes count twice.
const CHUNK_BYTES: usize = 900_000;

/// What the backups of one user may take together, in bytes, each key counting for a hundred more than its data: twice what a
/// large account has, which is a hundred thousand keys of a kilobyte. Exceeded by the keys of one parameter.
pub const QUOTA: u64 = 200_000_000;
/// Most backups of a user that are not deleted.
pub const MOST_BACKUPS: u64 = 100;

const CREATE: &str = "INSERT INTO backups (user_id, version, algorithm, auth_data) \
     SELECT ?1, 1 + coalesce((SELECT max(version) FROM backups WHERE user_id = ?1), 0), ?2, ?3 \
     WHERE (SELECT count(*) FROM backups WHERE user_id = ?1 AND deleted = 0) < ?4 RETURNING version AS version";

/// Notes whether there is room for more keys, before any are stored; writes nothing while that stays as it was.
const FULL: &str = "UPDATE backups SET full = NOT full WHERE user_id = ?1 AND version = ?2 \
     AND full <> ((SELECT sum(bytes) FROM backups WHERE user_id = ?1) >= ?3)";

const READ: &str = "SELECT version AS version, algorithm AS algorithm, auth_data AS auth_data, etag AS etag, \
     count AS count FROM backups WHERE user_id = ?1 AND deleted = 0 AND (?2 IS NULL OR version = ?2) \
     ORDER BY version DESC LIMIT 1";

const UPDATE: &str = "UPDATE backups SET auth_data = ?4 \
     WHERE user_id = ?1 AND version = ?2 AND algorithm = ?3 AND deleted = 0 RETURNING 1 AS found";

const EMPTY: &str = "DELETE FROM backup_sessions WHERE backup = \
     (SELECT num FROM backups WHERE user_id = ?1 AND version = ?2)";

/// The row stays, so that the version is not given out again.
const DELETE: &str = "UPDATE backups SET deleted = 1, auth_data = '{}', count = 0, bytes = 0 \
     WHERE user_id = ?1 AND version = ?2 AND deleted = 0 RETURNING 1 AS found";

const DROP_KEYS: &str = "DELETE FROM backup_sessions WHERE backup IN (SELECT num FROM backups WHERE user_id = ?1)";

const DROP: &str = "DELETE FROM backups WHERE user_id = ?1";

const CURRENT: &str = "SELECT version AS version FROM backups WHERE user_id = ?1 AND deleted = 0 \
     ORDER BY version DESC LIMIT 1";

/// The backup `?2` of the user `?1`, if it is the current one and there is room.
macro_rules! current {
    () => {
        "(SELECT num FROM backups WHERE user_id = ?1 AND version = ?2 AND deleted = 0 AND full = 0 AND version = \
           (SELECT max(version) FROM backups WHERE user_id = ?1 AND deleted = 0))"
    };
}

/// What a key counts for, in bytes, beside its data.
macro_rules! weight {
    ($data:literal) => {
        concat!("length(CAST(", $data, " AS BLOB)) + 100")
    };
}

/// The backup `?2` of the user `?1`.
macro_rules! existing {
    () => {
        "(SELECT num FROM backups WHERE user_id = ?1 AND version = ?2 AND deleted = 0)"
    };
}

/// Counts what [`STORE`] will do with the keys in `?3`, before it does it: those that are new, and whether anything changes.
const COUNT: &str = concat!(
    "UPDATE backups SET count = count + change.added, bytes = bytes + change.more, etag = etag + 1 FROM (\
       SELECT count(*) FILTER (WHERE kept.backup IS NULL) AS added, count(*) AS changed, sum(",
    weight!("k.value ->> 5"),
    " - coalesce(",
    weight!("kept.session_data"),
    ", 0)) AS more FROM json_each(?3) k LEFT JOIN backup_sessions kept ON kept.backup = ",
    current!(),
    " AND kept.room_id = k.value ->> 0 AND kept.session_id = k.value ->> 1 \
       WHERE kept.backup IS NULL OR (kept.is_verified, k.value ->> 2, k.value ->> 3) \
         < (k.value ->> 4, kept.first_message_index, kept.forwarded_count)\
     ) change WHERE change.changed > 0 AND num = ",
    current!(),
);

/// Stores the keys in `?3`: `[room, session, first index, forwarded, verified, data]`. A key stays unless the new one is
/// verified and it is not, or else has a lower first index, or else was forwarded less often.
const STORE: &str = concat!(
    "INSERT INTO backup_sessions (backup, room_id, session_id, first_message_index, forwarded_count, is_verified, \
       session_data) \
     SELECT b.num, k.value ->> 0, k.value ->> 1, k.value ->> 2, k.value ->> 3, k.value ->> 4, k.value ->> 5 \
     FROM json_each(?3) k CROSS JOIN backups b WHERE b.num = ",
    current!(),
    " ON CONFLICT DO UPDATE SET first_message_index = excluded.first_message_index, \
       forwarded_count = excluded.forwarded_count, is_verified = excluded.is_verified, \
       session_data = excluded.session_data \
     WHERE (is_verified, excluded.first_message_index, excluded.forwarded_count) \
       < (excluded.is_verified, first_message_index, forwarded_count)",
);

const STATE: &str = concat!("SELECT etag AS etag, count AS count, full AS full FROM backups WHERE num = ", existing!());

/// The keys of a range `?3`, `?4` to `?5`, `?6`.
macro_rules! range {
    () => {
        concat!("backup = ", existing!(), " AND (room_id, session_id) >= (?3, ?4) AND (room_id, session_id) < (?5, ?6)")
    };
}

/// The first key comes whatever its length.
const READ_KEYS: &str = concat!(
    "SELECT room_id AS room_id, session_id AS session_id, first_message_index AS first_message_index, \
     forwarded_count AS forwarded_count, is_verified AS is_verified, session_data AS session_data \
     FROM (SELECT *, sum(length(CAST(session_data AS BLOB))) OVER \
       (ORDER BY room_id, session_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before \
       FROM (SELECT * FROM backup_sessions WHERE ",
    range!(),
    " ORDER BY room_id, session_id LIMIT ?7)) WHERE before IS NULL OR before < ?8 ORDER BY room_id, session_id"
);

const UNCOUNT: &str = concat!(
    "UPDATE backups SET count = count - change.gone, bytes = bytes - change.less, etag = etag + 1 FROM (\
       SELECT count(*) AS gone, sum(",
    weight!("session_data"),
    ") AS less FROM backup_sessions WHERE ",
    range!(),
    ") change WHERE change.gone > 0 AND num = ",
    existing!(),
);

const DELETE_KEYS: &str = concat!("DELETE FROM backup_sessions WHERE ", range!());

/// One write.
pub(crate) async fn create<D: Databases>(storage: &Storage<'_, D>, ask: CreateBackup) -> Result<u64, MatrixError> {
    let params = [ask.user_id.as_str().into(), ask.algorithm.into(), ask.auth_data.text().into(), MOST_BACKUPS.into()];
    let [made] = run(&storage.databases, Database::Global, [Statement::new(CREATE, params)]).await?;
    let full = || MatrixError::too_large("There are too many backups: delete those that are no longer needed");
    made.first().and_then(|row| row.int(0)).ok_or_else(full)
}

/// One read.
pub(crate) async fn read<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ReadBackup,
) -> Result<Option<Backup>, MatrixError> {
    let params = [ask.user_id.as_str().into(), ask.version.into()];
    let [rows] = run(&storage.databases, Database::Global, [Statement::new(READ, params)]).await?;
    rows.first().map(|row| backup(row).ok_or_else(MatrixError::unavailable)).transpose()
}

/// One write.
pub(crate) async fn update<D: Databases>(storage: &Storage<'_, D>, ask: UpdateBackup) -> Result<bool, MatrixError> {
    let params = [ask.user_id.as_str().into(), ask.version.into(), ask.algorithm.into(), ask.auth_data.text().into()];
    let [found] = run(&storage.databases, Database::Global, [Statement::new(UPDATE, params)]).await?;
    Ok(!found.is_empty())
}

/// One batch.
pub(crate) async fn delete<D: Databases>(storage: &Storage<'_, D>, ask: DeleteBackup) -> Result<bool, MatrixError> {
    let params = || [ask.user_id.as_str().into(), Value::from(ask.version)];
    let statements = [Statement::new(EMPTY, params()), Statement::new(DELETE, params())];
    let [_, found] = run(&storage.databases, Database::Global, statements).await?;
    Ok(!found.is_empty())
}

/// One batch.
pub(crate) async fn drop_all<D: Databases>(storage: &Storage<'_, D>, ask: DropBackups) -> Result<Done, MatrixError> {
    let of_user = |sql| Statement::new(sql, [ask.user_id.as_str().into()]);
    let [_, _] = run(&storage.databases, Database::Global, [of_user(DROP_KEYS), of_user(DROP)]).await?;
    Ok(Done {})
}

/// One batch, whatever the number of keys.
pub(crate) async fn store<D: Databases>(
    storage: &Storage<'_, D>,
    ask: StoreBackupKeys,
) -> Result<BackupStored, MatrixError> {
    let user = || Value::from(ask.user_id.as_str());
    let full = Statement::new(FULL, [user(), ask.version.into(), QUOTA.into()]);
    let mut statements = vec![Statement::new(CURRENT, [user()]), full];
    for chunk in chunks(&ask.keys) {
        let rows: Vec<_> = chunk.iter().map(KeyRow::of).collect();
        let params = [user(), ask.version.into(), json_list(&rows)?];
        statements.push(Statement::new(COUNT, params.clone()));
        statements.push(Statement::new(STORE, params));
    }
    statements.push(Statement::new(STATE, [user(), ask.version.into()]));
    let results = run_all(&storage.databases, Database::Global, statements).await?;
    let current = results.first().and_then(|rows| rows.first()?.int(0));
    if current != Some(ask.version) {
        return Ok(BackupStored::OtherVersion(current));
    }
    let row = results.last().and_then(|rows| rows.first());
    if row.is_some_and(|row| row.flag(2)) {
        return Ok(BackupStored::Full);
    }
    let state = row.and_then(|row| state(row, 0));
    state.map(BackupStored::Stored).ok_or_else(MatrixError::unavailable)
}

/// One batch.
pub(crate) async fn read_keys<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ReadBackupKeys,
) -> Result<Option<Vec<BackupKey>>, MatrixError> {
    let mut params = range_params(ask.user_id.as_str(), ask.version, ask.range);
    let version = params.iter().take(2).cloned().collect::<Vec<_>>();
    params.extend([ask.limit.into(), ask.most_bytes.into()]);
    let statements = [Statement::new(STATE, version), Statement::new(READ_KEYS, params)];
    let [found, rows] = run(&storage.databases, Database::Global, statements).await?;
    if found.is_empty() {
        return Ok(None);
    }
    rows.iter().map(key).collect::<Option<_>>().map(Some).ok_or_else(MatrixError::unavailable)
}

/// One batch.
pub(crate) async fn delete_keys<D: Databases>(
    storage: &Storage<'_, D>,
    ask: DeleteBackupKeys,
) -> Result<Option<BackupState>, MatrixError> {
    let params = range_params(ask.user_id.as_str(), ask.version, ask.range);
    let version = params.iter().take(2).cloned().collect::<Vec<_>>();
    let statements =
        [Statement::new(UNCOUNT, params.clone()), Statement::new(DELETE_KEYS, params), Statement::new(STATE, version)];
    let [_, _, rows] = run(&storage.databases, Database::Global, statements).await?;
    Ok(rows.first().and_then(|row| state(row, 0)))
}

fn range_params(user: &str, version: u64, range: KeyRange) -> Vec<Value> {
    let (from, until) = (range.from, range.until);
    vec![user.into(), version.into(), from.0.into(), from.1.into(), until.0.into(), until.1.into()]
}

#[derive(Serialize)]
struct KeyRow<'a>(&'a str, &'a str, u64, u64, u64, &'a str);

impl<'a> KeyRow<'a> {
    fn of(key: &'a BackupKey) -> Self {
        let verified = u64::from(key.is_verified);
        let data = key.session_data.text();
        Self(&key.room_id, &key.session_id, key.first_message_index, key.forwarded_count, verified, data)
    }
}

/// Runs of keys that fit into one parameter. Quotes in the data are escaped there, at worst all of it.
fn chunks(keys: &[BackupKey]) -> Vec<&[BackupKey]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, key) in keys.iter().enumerate() {
        let length = key.room_id.len() + key.session_id.len() + key.session_data.text().len() + 100;
        if bytes + length > CHUNK_BYTES {
            chunks.extend(keys.get(start..index));
            (start, bytes) = (index, 0);
        }
        bytes += length;
    }
    chunks.extend(keys.get(start..));
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

fn backup(row: &Row) -> Option<Backup> {
    Some(Backup {
        version: row.int(0)?,
        algorithm: row.string(1)?,
        auth_data: RawJson::parse(row.string(2)?).ok()?,
        state: state(row, 3)?,
    })
}

fn state(row: &Row, from: usize) -> Option<BackupState> {
    Some(BackupState { etag: row.int(from)?, count: row.int(from + 1)? })
}

fn key(row: &Row) -> Option<BackupKey> {
    Some(BackupKey {
        room_id: row.string(0)?,
        session_id: row.string(1)?,
        first_message_index: row.int(2)?,
        forwarded_count: row.int(3)?,
        is_verified: row.flag(4),
        session_data: RawJson::parse(row.string(5)?).ok()?,
    })
}
