//! What is in an object, page by page, and back into an empty one: the same for every class.
//!
//! A page is JSON: tables with their columns and rows. NULL, integers, reals and text are JSON's own; a blob is `{"b": …}` in
//! base64. All pages of an object are of one version, or the export starts over. Pages go back one after the other, each in a
//! transaction of its own, and until the object is woken no step of the schema counts as taken. While pages come the class sees
//! nothing, and what it makes instead takes their place; a whole object is kept and answers nothing until it is woken.

mod export;
mod restore;
mod tables;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tern_model::{MatrixError, Name, RawJson};
use tern_ports::{Sql, wire::frame};

use crate::schema::Schema;

/// First line of a frame that reads an object; JSON of an [`Export`] follows.
pub const EXPORT: &[u8] = b"backup\n";

/// First line of a frame that writes an object; JSON of a [`Restore`] follows.
pub const RESTORE: &[u8] = b"restore\n";

/// Bytes of the values in a page; its last row may go beyond.
pub const PAGE: u64 = 1_000_000;

/// What a class says of itself.
#[derive(Clone, Copy)]
pub struct Class {
    /// Its tables.
    pub schema: &'static Schema,
    /// What is different in a restored object: statements that are run after its rows are there.
    pub restored: &'static [&'static str],
}

/// Reads a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Export {
    /// On the first page: the version that is known already. Later: that of the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Name>,
    /// The table at which the page starts; none for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Name>,
    /// Rows of it that were read.
    #[serde(default)]
    pub offset: u64,
}

/// Writes a page, or makes the object out of the pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restore {
    /// Which restore this is.
    pub id: Name,
    /// Position of the page, from 0 on; with `last`, how many there are.
    pub number: u64,
    /// The page; none makes the object, or wakes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<RawJson>,
    /// Steps of the schema that the object had taken; not needed to wake it.
    #[serde(default)]
    pub schema: u64,
    /// All is restored: what the object has to do may begin.
    #[serde(default)]
    pub wake: bool,
}

/// What became of a frame about backups.
pub struct Answered {
    /// The reply frame.
    pub reply: Vec<u8>,
    /// The object's alarm has to ring.
    pub wake: bool,
}

/// Answers a frame about backups; `None` for every other frame. `version` is what the object is at now.
pub fn answer(
    sql: &impl Sql,
    class: Option<Class>,
    version: impl FnOnce() -> String,
    bytes: &[u8],
) -> Option<Answered> {
    let export = bytes.strip_prefix(EXPORT);
    let body = export.or_else(|| bytes.strip_prefix(RESTORE))?;
    let result = class.ok_or_else(|| MatrixError::not_found("Nothing of this class lasts")).and_then(|class| {
        if export.is_some() { export::page(sql, class, &version(), &parse(body)?) } else { restored(sql, class, body) }
    });
    let wake = result.as_ref().is_ok_and(|value| value.get("awake").is_some());
    Some(Answered { reply: frame::write_reply(&result), wake })
}

fn restored(sql: &impl Sql, class: Class, body: &[u8]) -> Result<Value, MatrixError> {
    let ask: Restore = parse(body)?;
    match &ask.page {
        Some(page) => restore::fill(sql, class, &ask, page.text()),
        None if ask.wake => restore::wake(sql, class, &ask),
        None => restore::finish(sql, class, &ask),
    }
}

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, MatrixError> {
    serde_json::from_slice(body).map_err(|error| MatrixError::bad_json(error.to_string()))
}
