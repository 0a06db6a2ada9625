//! From a draft to an event: references, content hash, signature, event id.

use std::borrow::Cow;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, Int, OwnedEventId, RoomId, UInt,
    events::TimelineEventType,
    serde::{Base64, base64::UrlSafe},
    signatures::{JsonError, content_hash, reference_hash},
};
use tern_model::{Millis, Pdu, RawJson};

use crate::{
    auth::{AuthState, authorise_with},
    canonical::canonical_object,
    content,
    draft::Draft,
    error::{AuthError, BuildError, SendError},
    policy, redact,
    signer::Signer,
    sticky::{FIELD, LONGEST_MS},
    version::Version,
    view::{Extremity, RoomView},
};

/// Most bytes of an event as canonical JSON, signatures included (Client-Server API, "Size limits").
pub const MAX_EVENT_BYTES: usize = 65_536;

/// Most bytes of `type`, `state_key` and `sender`.
const MAX_FIELD_BYTES: usize = 255;

/// Most `prev_events` (room version 1, "Event format").
const MAX_PREV_EVENTS: usize = 20;

/// Builds `draft` on the room's forward extremities and authorises it against the current state: the only way an event
/// that is to be committed comes to be.
///
/// # Errors
/// When the draft cannot be built, or a rule refuses it.
pub fn propose(view: &impl RoomView, draft: &Draft, now: Millis, signer: &Signer) -> Result<Pdu, SendError> {
    let draft = &*draft.without_stray_admission();
    let state = load(view, draft)?;
    let pdu = build_on(view, draft, &state, now, signer)?;
    content::check(view.version(), &pdu, &state)?;
    authorise_with(&view.version().rules.authorization, &pdu, &state)?;
    if policy::refuses(view, &pdu)? { Err(SendError::Unapproved) } else { Ok(pdu) }
}

/// What `draft` becomes on the room's forward extremities, for its sender's server to complete and sign; authorised as it
/// stands (Server-Server API, `make_join`).
///
/// # Errors
/// As [`propose`].
pub(crate) fn template(view: &impl RoomView, draft: &Draft, now: Millis) -> Result<RawJson, SendError> {
    let state = load(view, draft)?;
    let event = assemble(view.version(), draft, place_on(view, &state)?, now)?;
    let damaged = |error: &dyn std::fmt::Display| BuildError::Seal(error.to_string());
    let raw = RawJson::from_value(&event).map_err(|error| damaged(&error))?;
    // The rules do not look at the id, which it has none of yet.
    let pdu = Pdu::parse(OwnedEventId::try_from("$template").map_err(|error| damaged(&error))?, raw.clone());
    let pdu = pdu.map_err(|error| damaged(&error))?;
    authorise_with(&view.version().rules.authorization, &pdu, &state)?;
    Ok(raw)
}

/// Builds `draft` on the room's forward extremities, without asking whether it is allowed.
///
/// # Errors
/// When the content is not canonical JSON, a limit is passed, or state cannot be read.
pub fn build(view: &impl RoomView, draft: &Draft, now: Millis, signer: &Signer) -> Result<Pdu, BuildError> {
    let state = load(view, draft)?;
    build_on(view, draft, &state, now, signer)
}

/// Whether `draft` could be an event at all, whatever the room. A repeated request is checked with it, since nothing is
/// built for it.
///
/// # Errors
/// As [`build`], but for limits that only the finished event shows.
pub fn check(draft: &Draft) -> Result<(), BuildError> {
    check_draft(draft)?;
    if draft.content.text().len() > MAX_EVENT_BYTES {
        return Err(BuildError::TooLarge);
    }
    canonical_object(&draft.content).map(drop)
}

/// Builds the `m.room.create` event. `room_id` is given for versions whose create event carries one.
///
/// # Errors
/// As [`build`].
pub fn build_create(
    version: &Version,
    room_id: Option<&RoomId>,
    draft: &Draft,
    now: Millis,
    signer: &Signer,
) -> Result<Pdu, BuildError> {
    let place = Place { room_id, depth: 1, prev: Vec::new(), auth: Vec::new() };
    seal(version, draft, place, now, signer)
}

/// What a wrong shape of content means: the client's mistake, not a lack of permission.
fn load(view: &impl RoomView, draft: &Draft) -> Result<AuthState, BuildError> {
    check_draft(draft)?;
    let kind = TimelineEventType::from(draft.kind.as_str());
    let content = &draft.content.0;
    AuthState::load(view, &kind, &draft.sender, draft.state_key.as_deref(), content).map_err(|error| match error {
        AuthError::Forbidden(reason) => BuildError::BadJson(reason.into()),
        AuthError::Unreadable(cause) => cause.into(),
    })
}

fn build_on(
    view: &impl RoomView,
    draft: &Draft,
    state: &AuthState,
    now: Millis,
    signer: &Signer,
) -> Result<Pdu, BuildError> {
    seal(view.version(), draft, place_on(view, state)?, now, signer)
}

/// On the room's forward extremities.
fn place_on<'a>(view: &'a impl RoomView, state: &AuthState) -> Result<Place<'a>, BuildError> {
    let mut extremities = view.extremities()?;
    extremities.sort_by(|a, b| b.depth.cmp(&a.depth).then_with(|| a.event_id.cmp(&b.event_id)));
    extremities.truncate(MAX_PREV_EVENTS);
    let version = view.version();
    let previous = |Extremity { event_id, .. }: &Extremity| {
        // Only versions with hashes in their references have to look at the event.
        let event = if version.hashes_in_references() { view.event(event_id)? } else { None };
        reference(version, event_id, event.as_ref())
    };
    Ok(Place {
        room_id: Some(view.room_id()),
        depth: extremities.first().map_or(1, |deepest| deepest.depth.saturating_add(1)),
        prev: extremities.iter().map(previous).collect::<Result<_, _>>()?,
        auth: state.selected().map(|event| reference(version, event.id(), Some(event))).collect::<Result<_, _>>()?,
    })
}

/// A reference to an event: its id, in room versions 1 and 2 with its hash ("Event format").
fn reference(version: &Version, event_id: &EventId, event: Option<&Pdu>) -> Result<CanonicalJsonValue, BuildError> {
    let id = id_value(event_id.to_owned());
    if !version.hashes_in_references() {
        return Ok(id);
    }
    let mut hashes = CanonicalJsonObject::new();
    if let Some(event) = event {
        let damaged = |error: &dyn std::fmt::Display| BuildError::Seal(format!("{event_id}: {error}"));
        let object: CanonicalJsonObject = event.raw().read().map_err(|error| damaged(&error))?;
        let hash = reference_hash(&object, &version.rules).map_err(|error| damaged(&error))?;
        hashes.insert("sha256".to_owned(), CanonicalJsonValue::String(hash));
    }
    Ok(vec![id, hashes.into()].into())
}

/// Where in the event graph a new event stands.
struct Place<'a> {
    room_id: Option<&'a RoomId>,
    depth: u64,
    prev: Vec<CanonicalJsonValue>,
    auth: Vec<CanonicalJsonValue>,
}

fn seal(version: &Version, draft: &Draft, place: Place<'_>, now: Millis, signer: &Signer) -> Result<Pdu, BuildError> {
    check_draft(draft)?;
    if draft.sender.server_name() != signer.server_name() {
        return Err(BuildError::ForeignSender);
    }
    let mut event = assemble(version, draft, place, now)?;
    let event_id = if version.event_id_in_event() {
        let made_up = own_id(&event, signer)?;
        event.insert("event_id".to_owned(), CanonicalJsonValue::String(made_up.clone()));
        signer.seal(&mut event, &version.rules.redaction).map_err(seal_error)?;
        made_up
    } else {
        signer.seal(&mut event, &version.rules.redaction).map_err(seal_error)?;
        format!("${}", reference_hash(&event, &version.rules).map_err(seal_error)?)
    };
    let text = serde_json::to_string(&event).map_err(|error| BuildError::Seal(error.to_string()))?;
    if text.len() > MAX_EVENT_BYTES {
        return Err(BuildError::TooLarge);
    }
    let damaged = |error: String| BuildError::Seal(error);
    let event_id = OwnedEventId::try_from(event_id).map_err(|error| damaged(error.to_string()))?;
    let raw = RawJson::parse(text).map_err(|error| damaged(error.to_string()))?;
    Pdu::parse(event_id, raw).map_err(|error| damaged(error.to_string()))
}

/// An id for an event of a room version whose events carry their ids. It may be anything that no other event of this
/// server has: the hash of all that the event says, so that nothing has to be drawn by lot.
fn own_id(event: &CanonicalJsonObject, signer: &Signer) -> Result<String, BuildError> {
    let hash = content_hash(event).map_err(seal_error)?;
    let opaque = Base64::<UrlSafe, _>::new(hash.into_inner()).encode();
    Ok(format!("${opaque}:{}", signer.server_name()))
}

fn assemble(
    version: &Version,
    draft: &Draft,
    place: Place<'_>,
    now: Millis,
) -> Result<CanonicalJsonObject, BuildError> {
    let mut content = canonical_object(&draft.content)?;
    let mut event = CanonicalJsonObject::new();
    if let Some(redacts) = redact::named(draft)? {
        content.remove("redacts");
        let object = if version.redacts_in_content() { &mut content } else { &mut event };
        object.insert("redacts".to_owned(), id_value(redacts));
    }
    event.insert("auth_events".to_owned(), place.auth.into());
    event.insert("content".to_owned(), content.into());
    event.insert("depth".to_owned(), whole(place.depth));
    if let Some(duration_ms) = draft.sticky {
        let duration = ("duration_ms".to_owned(), whole(duration_ms));
        event.insert(FIELD.to_owned(), CanonicalJsonObject::from([duration]).into());
    }
    event.insert("origin_server_ts".to_owned(), whole(now.0));
    event.insert("prev_events".to_owned(), place.prev.into());
    if let Some(room_id) = place.room_id {
        event.insert("room_id".to_owned(), room_id.as_str().into());
    }
    event.insert("sender".to_owned(), draft.sender.as_str().into());
    if let Some(state_key) = &draft.state_key {
        event.insert("state_key".to_owned(), state_key.as_str().into());
    }
    event.insert("type".to_owned(), draft.kind.as_str().into());
    Ok(event)
}

fn check_draft(draft: &Draft) -> Result<(), BuildError> {
    let fields = [
        ("type", draft.kind.as_str()),
        ("state_key", draft.state_key.as_deref().unwrap_or_default()),
        ("sender", draft.sender.as_str()),
    ];
    match fields.into_iter().find(|(_, value)| value.len() > MAX_FIELD_BYTES) {
        Some((name, _)) => Err(BuildError::FieldTooLong(name)),
        None if !draft.content.text().starts_with('{') => {
            Err(BuildError::BadJson(Cow::Borrowed("The content of an event must be an object")))
        }
        None if draft.sticky.is_some_and(|duration_ms| duration_ms > LONGEST_MS) => Err(BuildError::StickyTooLong),
        None => redact::named(draft).map(drop),
    }
}

fn seal_error(error: JsonError) -> BuildError {
    match error {
        JsonError::PduTooLarge => BuildError::TooLarge,
        other => BuildError::Seal(other.to_string()),
    }
}

fn id_value(event_id: OwnedEventId) -> CanonicalJsonValue {
    CanonicalJsonValue::String(event_id.into())
}

/// A number within the range of canonical JSON, cut off at its end.
fn whole(number: u64) -> CanonicalJsonValue {
    CanonicalJsonValue::Integer(UInt::new(number).map_or(Int::MAX, Int::from))
}
