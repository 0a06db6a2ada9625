//! Backups of room keys (Client-Server API, "Server-side key backups"), run in the proxy. The storage worker keeps number
//! of keys and etag in step with the keys; nothing about them is held anywhere else.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Transport, ask_storage,
    wire::backup::{
        Backup, BackupKey, BackupState, BackupStored, CreateBackup, DeleteBackup, DeleteBackupKeys, KeyRange,
        ReadBackup, ReadBackupKeys, StoreBackupKeys, UpdateBackup,
    },
};

/// Longest `auth_data` and `session_data`, in bytes.
const LONGEST_DATA: usize = 64 * 1024;
/// Longest session id, in bytes.
const LONGEST_ID: usize = 255;
/// Keys read at a time, so that one reply of the storage worker stays at some megabytes.
const PAGE: u64 = 2_000;
/// Most bytes of keys in one answer: an isolate's memory ends at 128 MB.
const MOST_BYTES: usize = 48 << 20;
/// Sorts after every id.
const LAST: &str = "\u{10FFFF}";

/// Algorithm and public part of a backup, as clients write them.
#[derive(Clone, Debug, Deserialize)]
pub struct Method {
    /// `algorithm`.
    pub algorithm: String,
    /// `auth_data`, an object.
    pub auth_data: RawJson,
    /// `version`, which must be that of the path.
    pub version: Option<String>,
}

impl Method {
    fn check(&self) -> Result<(), MatrixError> {
        if self.algorithm.is_empty() || self.algorithm.len() > LONGEST_ID {
            return Err(MatrixError::invalid_param("The algorithm is empty or too long"));
        }
        check_data(&self.auth_data)
    }
}

/// Keys as clients write and read them: rooms, and in them sessions.
pub type Rooms = BTreeMap<OwnedRoomId, Sessions>;

/// The sessions of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// By session id.
    pub sessions: BTreeMap<String, Session>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `first_message_index`.
    pub first_message_index: u64,
    /// `forwarded_count`.
    pub forwarded_count: u64,
    /// `is_verified`.
    pub is_verified: bool,
    /// `session_data`, an object.
    pub session_data: RawJson,
}

/// Which keys of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those of a room.
    Room(OwnedRoomId),
    /// One.
    Session(OwnedRoomId, String),
}

impl Scope {
    fn range(&self) -> KeyRange {
        let pair = |room: &str, session: &str| (room.to_owned(), session.to_owned());
        match self {
            Self::All => KeyRange { from: pair("", ""), until: pair(LAST, "") },
            Self::Room(room) => KeyRange { from: pair(room.as_str(), ""), until: pair(room.as_str(), LAST) },
            Self::Session(room, session) => {
                KeyRange { from: pair(room.as_str(), session), until: after(room.as_str(), session) }
            }
        }
    }
}

/// The first place after a session's. Ids have no control characters.
fn after(room: &str, session: &str) -> (String, String) {
    (room.to_owned(), format!("{session}\u{1}"))
}

/// `POST /room_keys/version`: the version.
///
/// # Errors
/// What is wrong with the method.
pub async fn create<E: Transport>(edge: &E, user_id: &UserId, method: Method) -> Result<String, MatrixError> {
    method.check()?;
    let Method { algorithm, auth_data, .. } = method;
    let version = ask_storage(edge, CreateBackup { user_id: user_id.to_owned(), algorithm, auth_data }).await?;
    Ok(version.to_string())
}

/// `GET /room_keys/version` and `GET /room_keys/version/{version}`.
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn read<E: Transport>(edge: &E, user_id: &UserId, version: Option<&str>) -> Result<Value, MatrixError> {
    let version = version.map(number).transpose()?;
    let backup = ask_storage(edge, ReadBackup { user_id: user_id.to_owned(), version }).await?;
    let Backup { version, algorithm, auth_data, state } = backup.ok_or_else(unknown)?;
    let mut body = state_body(state);
    body.insert("version".to_owned(), version.to_string().into());
    body.insert("algorithm".to_owned(), algorithm.into());
    body.insert("auth_data".to_owned(), auth_data.read().map_err(|_| MatrixError::internal())?);
    Ok(Value::Object(body))
}

/// `PUT /room_keys/version/{version}`.
///
/// # Errors
/// `M_NOT_FOUND`, `M_INVALID_PARAM` for another version or algorithm.
pub async fn update<E: Transport>(
    edge: &E,
    user_id: &UserId,
    version: &str,
    method: Method,
) -> Result<(), MatrixError> {
    method.check()?;
    if method.version.as_deref().is_some_and(|named| named != version) {
        return Err(MatrixError::invalid_param("The version in the body is not the one in the path"));
    }
    let version = number(version)?;
    let (user_id, Method { algorithm, auth_data, .. }) = (user_id.to_owned(), method);
    if ask_storage(edge, UpdateBackup { user_id: user_id.clone(), version, algorithm, auth_data }).await? {
        return Ok(());
    }
    let there = ask_storage(edge, ReadBackup { user_id, version: Some(version) }).await?;
    Err(there.map_or_else(unknown, |_| MatrixError::invalid_param("The algorithm is not that of the backup")))
}

/// `DELETE /room_keys/version/{version}`.
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn delete<E: Transport>(edge: &E, user_id: &UserId, version: &str) -> Result<(), MatrixError> {
    let delete = DeleteBackup { user_id: user_id.to_owned(), version: number(version)? };
    if ask_storage(edge, delete).await? { Ok(()) } else { Err(unknown()) }
}

/// `PUT /room_keys/keys` in its three forms.
///
/// # Errors
/// `M_WRONG_ROOM_KEYS_VERSION` with the current version, `M_NOT_FOUND` when there is none.
pub async fn store<E: Transport>(
    edge: &E,
    user_id: &UserId,
    version: Option<&str>,
    rooms: Rooms,
) -> Result<Value, MatrixError> {
    let version = number(version.ok_or_else(no_version)?)?;
    let mut keys = Vec::new();
    for (room_id, sessions) in rooms {
        for (session_id, session) in sessions.sessions {
            check_session_id(&session_id)?;
            check_data(&session.session_data)?;
            keys.push(key(room_id.to_string(), session_id, session));
        }
    }
    match ask_storage(edge, StoreBackupKeys { user_id: user_id.to_owned(), version, keys }).await? {
        BackupStored::Stored(state) => Ok(Value::Object(state_body(state))),
        BackupStored::OtherVersion(None) => Err(unknown()),
        BackupStored::OtherVersion(Some(current)) => Err(MatrixError {
            body: Some(Map::from_iter([("current_version".to_owned(), current.to_string().into())])),
            ..MatrixError::new(403, "M_WRONG_ROOM_KEYS_VERSION", "This is not the current version of the backup")
        }),
    }
}

/// `GET /room_keys/keys` in its three forms: the keys of `scope`.
///
/// # Errors
/// `M_NOT_FOUND`; `M_TOO_LARGE` for more than fits into one answer, which is then to be read room by room.
pub async fn load<E: Transport>(
    edge: &E,
    user_id: &UserId,
    version: Option<&str>,
    scope: &Scope,
) -> Result<BTreeMap<String, Sessions>, MatrixError> {
    let version = number(version.ok_or_else(no_version)?)?;
    let mut range = scope.range();
    let (mut rooms, mut bytes) = (BTreeMap::<String, Sessions>::new(), 0);
    loop {
        let read = ReadBackupKeys { user_id: user_id.to_owned(), version, range: range.clone(), limit: PAGE };
        let keys = ask_storage(edge, read).await?.ok_or_else(unknown)?;
        let more = keys.len() as u64 == PAGE;
        if let Some(last) = keys.last() {
            range.from = after(&last.room_id, &last.session_id);
        }
        for key in keys {
            bytes += key.session_data.text().len() + key.session_id.len();
            let (room_id, session_id, session) = session(key);
            rooms.entry(room_id).or_default().sessions.insert(session_id, session);
        }
        if bytes > MOST_BYTES {
            return Err(MatrixError::too_large("The backup is too large for one answer: ask room by room"));
        }
        if !more {
            return Ok(rooms);
        }
    }
}

/// `DELETE /room_keys/keys` in its three forms.
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn remove<E: Transport>(
    edge: &E,
    user_id: &UserId,
    version: Option<&str>,
    scope: &Scope,
) -> Result<Value, MatrixError> {
    let version = number(version.ok_or_else(no_version)?)?;
    let delete = DeleteBackupKeys { user_id: user_id.to_owned(), version, range: scope.range() };
    ask_storage(edge, delete).await?.map(|state| Value::Object(state_body(state))).ok_or_else(unknown)
}

fn key(room_id: String, session_id: String, session: Session) -> BackupKey {
    let Session { first_message_index, forwarded_count, is_verified, session_data } = session;
    BackupKey { room_id, session_id, first_message_index, forwarded_count, is_verified, session_data }
}

fn session(key: BackupKey) -> (String, String, Session) {
    let BackupKey { room_id, session_id, first_message_index, forwarded_count, is_verified, session_data } = key;
    (room_id, session_id, Session { first_message_index, forwarded_count, is_verified, session_data })
}

fn state_body(state: BackupState) -> Map<String, Value> {
    let BackupState { etag, count } = state;
    Map::from_iter([("etag".to_owned(), etag.to_string().into()), ("count".to_owned(), json!(count))])
}

/// Versions are numbers; no other text is one.
fn number(version: &str) -> Result<u64, MatrixError> {
    version.parse().ok().filter(|number| *number < 1 << 53).ok_or_else(unknown)
}

fn check_session_id(id: &str) -> Result<(), MatrixError> {
    if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        return Err(MatrixError::invalid_param("Not a session id"));
    }
    Ok(())
}

fn check_data(data: &RawJson) -> Result<(), MatrixError> {
    if !data.text().starts_with('{') {
        return Err(MatrixError::bad_json("auth_data and session_data are objects"));
    }
    if data.text().len() > LONGEST_DATA {
        return Err(MatrixError::too_large("auth_data or session_data is too long"));
    }
    Ok(())
}

fn unknown() -> MatrixError {
    MatrixError::not_found("There is no such backup")
}

fn no_version() -> MatrixError {
    MatrixError::missing_param("version is missing")
}
