//! Joining, leaving and knocking through another server (Server-Server API, "Joining Rooms", "Leaving Rooms (Rejecting
//! Invites)", "Knocking upon a room"): the event that it proposes, completed and signed.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int, RoomId, UserId};
use tern_model::{Handshake, MatrixError, Millis, Pdu, RawJson};

use crate::{
    build::MAX_EVENT_BYTES, canonical::canonical_object, receipt::Unverified, signer::Signer, version::Version,
};

/// Most events that it may stand on, and cite (room version 1, "Event format").
const MOST: [(&str, usize); 2] = [("prev_events", 20), ("auth_events", 10)];

/// Who lets somebody in that a join rule does not, which only the other server can say (room version 8, "Join rules").
const AUTHORISER: &str = "join_authorised_via_users_server";

/// What another server proposes is not what it was asked for, or none that this server signs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is no event, or another one: theirs.
    #[error("The other server's event cannot be used: {0}")]
    Unusable(String),
    /// Ours: the content is no JSON object, or too long.
    #[error("The content does not fit into an event")]
    Content,
}

impl From<TemplateError> for MatrixError {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::Unusable(_) => Self::new(502, "M_UNKNOWN", error.to_string()),
            TemplateError::Content => Self::too_large(error.to_string()),
        }
    }
}

/// The event of `user_id` as this server sends it. Where it stands, what it cites and who lets the user in is the other
/// server's to say; `content` is ours: name, picture, reason.
///
/// # Errors
/// [`TemplateError`].
pub fn complete(
    (version, handshake): (&'static Version, Handshake),
    (room_id, user_id): (&RoomId, &UserId),
    template: &RawJson,
    content: &RawJson,
    now: Millis,
    signer: &Signer,
) -> Result<Pdu, TemplateError> {
    let mut proposed: CanonicalJsonObject = template.read().map_err(|error| unusable(&error))?;
    let fields = [
        ("type", "m.room.member"),
        ("room_id", room_id.as_str()),
        ("sender", user_id.as_str()),
        ("state_key", user_id.as_str()),
    ];
    if fields.iter().any(|(name, value)| text(&proposed, name) != Some(*value)) {
        return Err(unusable(&"it is another event"));
    }
    let mut event: CanonicalJsonObject = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), CanonicalJsonValue::String((*value).to_owned())))
        .collect();
    event.insert("content".to_owned(), own_content(&proposed, handshake, content)?.into());
    for (name, most) in MOST {
        event.insert(name.to_owned(), references(&mut proposed, name, most)?);
    }
    let depth = proposed.remove("depth").filter(|depth| depth.as_integer().is_some_and(|depth| depth >= Int::from(0)));
    event.insert("depth".to_owned(), depth.ok_or_else(|| unusable(&"it has no depth"))?);
    let now = i64::try_from(now.0).ok().and_then(|now| Int::try_from(now).ok()).unwrap_or_default();
    event.insert("origin_server_ts".to_owned(), now.into());
    signer.seal(&mut event, &version.rules.redaction).map_err(|_| TemplateError::Content)?;
    let raw = RawJson::from_value(&event).map_err(|error| unusable(&error))?;
    if raw.text().len() > MAX_EVENT_BYTES {
        return Err(TemplateError::Content);
    }
    // What this server would refuse of others it does not send.
    let read = Unverified::read(version, room_id, &raw).and_then(Unverified::unchecked);
    read.map_err(|error| unusable(&error))
}

/// The content: what the user says, and who lets them in.
fn own_content(
    proposed: &CanonicalJsonObject,
    handshake: Handshake,
    content: &RawJson,
) -> Result<CanonicalJsonObject, TemplateError> {
    let theirs = proposed.get("content").and_then(CanonicalJsonValue::as_object);
    let theirs = theirs.filter(|theirs| text(theirs, "membership") == Some(handshake.membership()));
    let theirs = theirs.ok_or_else(|| unusable(&"it is for another membership"))?;
    let mut ours = canonical_object(content).map_err(|_| TemplateError::Content)?;
    ours.insert("membership".to_owned(), CanonicalJsonValue::String(handshake.membership().to_owned()));
    ours.remove(AUTHORISER);
    ours.extend(theirs.get(AUTHORISER).map(|user| (AUTHORISER.to_owned(), user.clone())));
    Ok(ours)
}

fn references(
    proposed: &mut CanonicalJsonObject,
    name: &str,
    most: usize,
) -> Result<CanonicalJsonValue, TemplateError> {
    match proposed.remove(name) {
        Some(CanonicalJsonValue::Array(list)) if (1..=most).contains(&list.len()) => Ok(list.into()),
        _ => Err(unusable(&format!("its {name} are no list of at most {most}"))),
    }
}

fn text<'a>(object: &'a CanonicalJsonObject, name: &str) -> Option<&'a str> {
    object.get(name).and_then(CanonicalJsonValue::as_str)
}

fn unusable(reason: &dyn std::fmt::Display) -> TemplateError {
    TemplateError::Unusable(reason.to_string())
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, user_id};
    use serde_json::{Value, json};
    use tern_model::{Handshake, Millis, RawJson};

    use super::{TemplateError, complete};
    use crate::{Signer, Version};

    fn raw(value: &Value) -> RawJson {
        RawJson::from_value(value).unwrap()
    }

    fn template() -> Value {
        json!({
            "type": "m.room.member", "room_id": "!r:far.test", "sender": "@a:tern.test", "state_key": "@a:tern.test",
            "content": { "membership": "join", "join_authorised_via_users_server": "@m:far.test", "theirs": 1 },
            "prev_events": ["$p"], "auth_events": ["$c"], "depth": 7, "origin_server_ts": 1, "origin": "far.test",
        })
    }

    fn completed(template: &Value, version: &str, content: &Value) -> Result<Value, TemplateError> {
        let signer = Signer::new("tern.test".try_into().unwrap(), "ed25519:t", &[7; 32]).unwrap();
        let who = (room_id!("!r:far.test"), user_id!("@a:tern.test"));
        let what = (Version::find(version).unwrap(), Handshake::Join);
        let pdu = complete(what, who, &raw(template), &raw(content), Millis(5), &signer)?;
        Ok(pdu.raw().read().unwrap())
    }

    #[test]
    fn where_it_stands_is_theirs_and_what_it_says_is_ours() {
        for version in ["6", "7", "8", "9", "10", "11", "12"] {
            let ours = json!({ "displayname": "A", "join_authorised_via_users_server": "@mallory:x" });
            let event = completed(&template(), version, &ours).unwrap();
            let by = "@m:far.test";
            let content = json!({ "membership": "join", "displayname": "A", "join_authorised_via_users_server": by });
            assert_eq!(event["content"], content);
            assert_eq!((&event["prev_events"], &event["depth"]), (&json!(["$p"]), &json!(7)));
            assert_eq!((&event["origin_server_ts"], event.get("origin")), (&json!(5), None));
            assert!(event["signatures"]["tern.test"]["ed25519:t"].is_string() && event["hashes"]["sha256"].is_string());
        }
    }

    #[test]
    fn another_event_than_the_one_that_was_asked_for_is_not_signed() {
        let bent = |path: &str, value: Value| {
            let mut template = template();
            *template.pointer_mut(path).unwrap() = value;
            completed(&template, "11", &json!({}))
        };
        for (path, value) in [
            ("/type", json!("m.room.power_levels")),
            ("/room_id", json!("!other:far.test")),
            ("/sender", json!("@b:tern.test")),
            ("/state_key", json!("@b:tern.test")),
            ("/content/membership", json!("ban")),
            ("/content", json!(null)),
            ("/prev_events", json!([])),
            ("/prev_events", json!(vec!["$p"; 21])),
            ("/prev_events", json!([1])),
            ("/auth_events", json!(vec!["$p"; 11])),
            ("/auth_events", json!({})),
            ("/depth", json!("7")),
            ("/depth", json!(-1)),
        ] {
            assert!(matches!(bent(path, value), Err(TemplateError::Unusable(_))), "{path}");
        }
        let long = json!({ "reason": "x".repeat(70_000) });
        assert_eq!(completed(&template(), "11", &long), Err(TemplateError::Content));
    }
}
