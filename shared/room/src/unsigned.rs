//! What the server adds to an event for clients (Client-Server API, "Room event format", `unsigned`).

use ruma::{EventId, OwnedEventId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use tern_model::{Pdu, RawJson};

/// Where [`keeping_target`] keeps it.
const KEPT: &str = "redacts";

/// `unsigned` of a state event that takes the place of `previous`.
///
/// # Errors
/// The serialiser's error.
pub fn replacing(previous: &Pdu) -> Result<RawJson, serde_json::Error> {
    #[derive(Serialize)]
    struct Unsigned<'a> {
        prev_content: &'a RawValue,
        prev_sender: &'a str,
        replaces_state: &'a str,
    }
    RawJson::from_value(&Unsigned {
        prev_content: previous.body(),
        prev_sender: previous.from().as_str(),
        replaces_state: previous.id().as_str(),
    })
}

/// `unsigned` of an event that was redacted: what it had, with the redaction in client form.
///
/// # Errors
/// The serialiser's error, or the parser's when the stored value is damaged.
pub fn redacted(stored: Option<&RawJson>, because: &RawJson) -> Result<RawJson, serde_json::Error> {
    with(stored, "redacted_because", because)
}

/// `unsigned` of a redaction that is redacted itself, with what it redacts: before room version 11 its own text does not say
/// so any more. For this server's reading only ([`kept_target`]); no client is shown it.
///
/// # Errors
/// The serialiser's error, or the parser's when the stored value is damaged.
pub fn keeping_target(stored: &RawJson, target: &EventId) -> Result<RawJson, serde_json::Error> {
    with(Some(stored), KEPT, &RawJson::from_value(target.as_str())?)
}

/// What a redaction that was redacted itself redacts.
pub fn kept_target(stored: &RawJson) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Unsigned {
        redacts: Option<OwnedEventId>,
    }
    stored.read::<Unsigned>().ok()?.redacts
}

/// Of the `unsigned` of a redaction, what clients are shown.
pub(crate) fn shown(stored: &RawJson) -> Option<RawJson> {
    let mut unsigned: Map<String, Value> = stored.read().ok()?;
    unsigned.remove(KEPT)?;
    RawJson::from_value(&unsigned).ok()
}

/// `unsigned` of an event whose predecessor was redacted: `prev_content` becomes what remains of it, or the redaction
/// would leave a copy behind.
///
/// # Errors
/// The serialiser's error, or the parser's when the stored value is damaged.
pub fn predecessor_redacted(stored: &RawJson, remaining: &RawValue) -> Result<RawJson, serde_json::Error> {
    with(Some(stored), "prev_content", &RawJson(remaining.to_owned()))
}

fn with(stored: Option<&RawJson>, name: &str, value: &RawJson) -> Result<RawJson, serde_json::Error> {
    let mut unsigned: Map<String, Value> = match stored {
        Some(stored) => stored.read()?,
        None => Map::new(),
    };
    unsigned.insert(name.to_owned(), value.read()?);
    RawJson::from_value(&unsigned)
}
