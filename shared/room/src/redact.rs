//! Redactions: which event, who may, and what remains.

use ruma::{
    EventId, OwnedEventId, canonical_json::redact_in_place, events::TimelineEventType,
    state_res::events::RoomPowerLevelsIntField,
};
use serde::Deserialize;
use tern_model::{Pdu, RawJson};

use crate::{
    canonical::canonical_object,
    draft::Draft,
    error::{BuildError, RedactError},
    power::Powers,
    version::Version,
    view::RoomView,
};

/// The event that `draft` redacts, if it is a redaction. Clients may name it in the content in every room version
/// (`PUT /rooms/{roomId}/send/m.room.redaction/{txnId}`).
///
/// # Errors
/// `BadJson` for a redaction that names none: it would redact nothing, and need no power.
pub(crate) fn named(draft: &Draft) -> Result<Option<OwnedEventId>, BuildError> {
    #[derive(Deserialize)]
    struct Content {
        redacts: OwnedEventId,
    }
    if draft.kind != "m.room.redaction" || draft.redacts.is_some() {
        return Ok(draft.redacts.clone());
    }
    let content: Result<Content, _> = draft.content.read();
    let content = content.map_err(|_| BuildError::BadJson("`redacts` must name the event to redact".into()))?;
    Ok(Some(content.redacts))
}

/// The event that `pdu` redacts, if it is a redaction that names one: in `content.redacts` from room version 11 on, in
/// `redacts` before.
pub fn target(version: &Version, pdu: &Pdu) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Content {
        redacts: Option<OwnedEventId>,
    }
    if *pdu.kind() != TimelineEventType::RoomRedaction {
        return None;
    }
    if version.redacts_in_content() {
        return serde_json::from_str::<Content>(pdu.body().get()).ok()?.redacts;
    }
    pdu.redacts_top_level().map(EventId::to_owned)
}

/// May `redaction`, itself authorised, take effect on `target`? One's own events always; others' with the room's
/// `redact` level (room version 3 and later, "Handling redactions"; Client-Server API, "Redactions"). Events whose loss
/// would break the room are never redacted.
///
/// # Errors
/// `Forbidden` or `Protected` when not.
pub fn may_redact(view: &impl RoomView, redaction: &Pdu, target: &Pdu) -> Result<(), RedactError> {
    match target.kind() {
        TimelineEventType::RoomCreate => return Err(RedactError::Protected("m.room.create")),
        TimelineEventType::RoomServerAcl => return Err(RedactError::Protected("m.room.server_acl")),
        _ if target.from() == redaction.from() => return Ok(()),
        _ => {}
    }
    if Powers::load(view)?.may(redaction.from(), RoomPowerLevelsIntField::Redact)? {
        Ok(())
    } else {
        Err(RedactError::Forbidden)
    }
}

/// What remains of a stored PDU by the version's redaction algorithm. Its id, hashes and signatures stay valid.
///
/// # Errors
/// When the stored PDU is damaged.
pub fn redact(version: &Version, pdu: &RawJson) -> Result<RawJson, RedactError> {
    let damaged = |error: &dyn std::fmt::Display| RedactError::Damaged(error.to_string());
    let mut event = canonical_object(pdu).map_err(|error| damaged(&error))?;
    redact_in_place(&mut event, &version.rules.redaction, None).map_err(|error| damaged(&error))?;
    RawJson::from_value(&event).map_err(|error| damaged(&error))
}
