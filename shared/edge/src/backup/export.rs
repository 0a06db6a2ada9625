//! Reading a whole backup, or a room of it, piece by piece: it may be larger than what an isolate has in memory.

use ruma::{OwnedRoomId, UserId};
use serde::Serialize;
use tern_model::MatrixError;
use tern_ports::{
    Transport, ask_storage,
    wire::backup::{BackupKey, ReadBackupKeys},
};

use super::{Scope, Session, after, no_version, number, unknown};

/// Keys in one piece, and bytes after which it ends.
const PAGE: u64 = 2_000;
const PAGE_BYTES: u64 = 4 << 20;

/// A backup on its way to the client, as JSON.
#[derive(Debug)]
pub struct Export {
    /// What is left.
    rest: ReadBackupKeys,
    /// All rooms, and not the sessions of one.
    whole: bool,
    started: bool,
    over: bool,
    /// The room whose sessions are being written.
    room: Option<String>,
}

impl Export {
    /// `GET /room_keys/keys`, or `GET /room_keys/keys/{roomId}`.
    ///
    /// # Errors
    /// `M_MISSING_PARAM` without a version, `M_NOT_FOUND` for one that is none.
    pub fn new(user_id: &UserId, version: Option<&str>, room_id: Option<OwnedRoomId>) -> Result<Self, MatrixError> {
        let (user_id, version) = (user_id.to_owned(), number(version.ok_or_else(no_version)?)?);
        let whole = room_id.is_none();
        let range = room_id.map_or(Scope::All, Scope::Room).range();
        let rest = ReadBackupKeys { user_id, version, range, limit: PAGE, most_bytes: PAGE_BYTES };
        Ok(Self { rest, whole, started: false, over: false, room: None })
    }

    /// There are no more pieces.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// The next piece of the text; the pieces together are a JSON object.
    ///
    /// # Errors
    /// `M_NOT_FOUND` when there is no such backup, 503.
    pub async fn next<E: Transport>(&mut self, edge: &E) -> Result<String, MatrixError> {
        let keys = ask_storage(edge, self.rest.clone()).await?.ok_or_else(unknown)?;
        let bytes: usize = keys.iter().map(|key| key.session_data.text().len()).sum();
        self.over = (keys.len() as u64) < PAGE && (bytes as u64) < PAGE_BYTES;
        if let Some(last) = keys.last() {
            self.rest.range.from = after(&last.room_id, &last.session_id);
        }
        let mut text = String::with_capacity(bytes + keys.len() * 160 + 32);
        if !std::mem::replace(&mut self.started, true) {
            text.push_str(if self.whole { r#"{"rooms":{"# } else { r#"{"sessions":{"# });
        }
        for key in keys {
            self.write(&mut text, key)?;
        }
        if self.over {
            text.push_str(if self.whole && self.room.is_some() { "}}}}" } else { "}}" });
        }
        Ok(text)
    }

    fn write(&mut self, text: &mut String, key: BackupKey) -> Result<(), MatrixError> {
        let same = self.room.as_ref() == Some(&key.room_id);
        match (&self.room, same) {
            (None, _) => {}
            (Some(_), true) => text.push(','),
            (Some(_), false) => text.push_str("}},"),
        }
        if self.whole && !same {
            push(text, &key.room_id)?;
            text.push_str(r#":{"sessions":{"#);
        }
        push(text, &key.session_id)?;
        text.push(':');
        self.room = Some(key.room_id.clone());
        push(text, &Session::from(key))
    }
}

fn push(text: &mut String, value: &impl Serialize) -> Result<(), MatrixError> {
    text.push_str(&serde_json::to_string(value).map_err(|_| MatrixError::internal())?);
    Ok(())
}
