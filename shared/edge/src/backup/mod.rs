//! Backups of room keys (Client-Server API, "Server-side key backups"), run in the proxy. The storage worker keeps number
//! of keys and etag in step with the keys; nothing about them is held anywhere else.

mod export;

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

pub use export::Export;

/// Longest `auth_data` and `session_data`, in bytes.
const LONGEST_DATA: usize = 64 * 1024;
/// Longest session id, in bytes.
const LONGEST_ID: usize = 255;
/// First number that JSON does not carry exactly (Appendices, "Canonical JSON").
const TOO_HIGH: u64 = 1 << 53;
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
/// `M_WRONG_ROOM_KEYS_VERSION` with the current version, `M_NOT_FOUND` when there is none, `M_TOO_LARGE` when all backups of
/// the user together are.
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
            if session.first_message_index.max(session.forwarded_count) >= TOO_HIGH {
                return Err(MatrixError::bad_json("first_message_index or forwarded_count is too high"));
            }
            check_data(&session.session_data)?;
            keys.push(key(room_id.to_string(), session_id, session));
        }
    }
    match ask_storage(edge, StoreBackupKeys { user_id: user_id.to_owned(), version, keys }).await? {
        BackupStored::Stored(state) => Ok(Value::Object(state_body(state))),
        BackupStored::OtherVersion(None) => Err(unknown()),
        BackupStored::Full => Err(MatrixError::too_large("Your backups take all the room that they may")),
        BackupStored::OtherVersion(Some(current)) => Err(MatrixError {
            body: Some(Map::from_iter([("current_version".to_owned(), current.to_string().into())])),
            ..MatrixError::new(403, "M_WRONG_ROOM_KEYS_VERSION", "This is not the current version of the backup")
        }),
    }
}

/// `GET /room_keys/keys/{roomId}/{sessionId}`.
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn load<E: Transport>(
    edge: &E,
    user_id: &UserId,
    version: Option<&str>,
    room_id: OwnedRoomId,
    session_id: &str,
) -> Result<Session, MatrixError> {
    let (user_id, version) = (user_id.to_owned(), number(version.ok_or_else(no_version)?)?);
    let range = Scope::Session(room_id, session_id.to_owned()).range();
    let read = ReadBackupKeys { user_id, version, range, limit: 1, most_bytes: 1 };
    let keys = ask_storage(edge, read).await?.ok_or_else(unknown)?;
    let session = keys.into_iter().next().map(Session::from);
    session.ok_or_else(|| MatrixError::not_found("There is no such key in the backup"))
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

impl From<BackupKey> for Session {
    fn from(key: BackupKey) -> Self {
        let BackupKey { first_message_index, forwarded_count, is_verified, session_data, .. } = key;
        Self { first_message_index, forwarded_count, is_verified, session_data }
    }
}

fn state_body(state: BackupState) -> Map<String, Value> {
    let BackupState { etag, count } = state;
    Map::from_iter([("etag".to_owned(), etag.to_string().into()), ("count".to_owned(), json!(count))])
}

/// Versions are numbers; no other text is one, nor another way to write the number.
fn number(version: &str) -> Result<u64, MatrixError> {
    let number = version.parse::<u64>().ok().filter(|number| *number < TOO_HIGH && number.to_string() == version);
    number.ok_or_else(unknown)
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
