//! What is in an object, page by page, and back into an empty one: the same for every class.
//!
//! A page is JSON: tables with their columns and rows. NULL, integers, reals and text are JSON's own; a blob is `{"b": …}` in
//! base64. All pages of an object are of one version, or the export starts over. Pages go back one after the other, each in a
//! transaction of its own, and until the object is woken no step of the schema counts as taken. While pages come the class sees
//! nothing, and what it makes instead takes their place; a whole object is kept and answers nothing until it is woken.

mod ask;
mod export;
mod restore;
mod tables;

use serde::Deserialize;
use serde_json::Value;
use tern_model::MatrixError;
use tern_ports::{Sql, wire::frame};

pub use self::ask::{Class, Export, PAGE, Restore};

/// First line of a frame that reads an object; JSON of an [`Export`] follows.
pub const EXPORT: &[u8] = b"backup\n";

/// First line of a frame that writes an object; JSON of a [`Restore`] follows.
pub const RESTORE: &[u8] = b"restore\n";

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
