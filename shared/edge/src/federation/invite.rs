//! Invites of users of this server by those of others (Server-Server API, "Inviting to a room").

use ruma::{OwnedEventId, OwnedUserId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use tern_model::{BoundedJson, Config, EventRef, MatrixError, Pdu, RawJson};
use tern_ports::{
    Clock, Transport, ask_room, ask_storage, ask_user,
    wire::{
        invite::{CheckInvite, DeliverInvite, MOST_SHOWN, ShownState},
        storage::LoadUser,
        user::ReadInvitee,
    },
};
use tern_room::{Dropped, HandedInvite, HandshakeError, Signer, Unverified, Version, stripped_event};

use super::{
    event_keys::{Signers, good_at},
    key_cache::KeyCache,
};

/// An invite as a server sends it.
#[derive(Debug)]
pub struct SentInvite<'a> {
    /// The room of the request.
    pub room_id: &'a RoomId,
    /// The event of the request.
    pub event_id: OwnedEventId,
    /// The room's version.
    pub room_version: String,
    /// The event.
    pub event: RawJson,
    /// What is shown of the room: whole events, or stripped ones. When it is empty, what the event itself has of them.
    pub shown: Vec<RawJson>,
}

/// What the event itself shows of the room, as of the first version of the endpoint and from some servers still.
fn shown_in(event: &RawJson) -> Vec<RawJson> {
    #[derive(Default, Deserialize)]
    struct Event {
        #[serde(default)]
        unsigned: Unsigned,
    }
    #[derive(Default, Deserialize)]
    struct Unsigned {
        #[serde(default)]
        invite_room_state: Vec<RawJson>,
    }
    event.read::<Event>().unwrap_or_default().unsigned.invite_room_state
}

/// Takes an invite: looks at it, signs it, and tells the user. The answer is the event with this server's signature as well.
/// `admit` is asked before anybody is asked for keys.
///
/// # Errors
/// 400 `M_UNSUPPORTED_ROOM_VERSION`; 400 `M_INVALID_PARAM` for another event than the request names, one that is not signed by
/// its sender's server, a user of another server, and a room of version 12 that does not show its create event; 404
/// `M_NOT_FOUND` for a user who is not there; 403 `M_FORBIDDEN` when the room keeps the server out; 403 `M_INVITE_BLOCKED`; 503.
pub async fn receive<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    origin: &ServerName,
    sent: SentInvite<'_>,
    admit: impl Fn() -> Result<(), MatrixError>,
) -> Result<Value, MatrixError> {
    let unsupported = || MatrixError::new(400, "M_UNSUPPORTED_ROOM_VERSION", "The room version is not supported");
    let version = Version::known(&sent.room_version).ok_or_else(unsupported)?;
    let invite = HandedInvite::read((version, sent.room_id), &sent.event, &sent.event_id, origin).map_err(refused)?;
    let (inviter, invitee) = users(config, &invite)?;
    let state = if sent.shown.is_empty() { shown_in(&sent.event) } else { sent.shown };
    check_create(version, sent.room_id, &state)?;
    let place = ask_room(edge, sent.room_id, CheckInvite { origin: origin.to_owned() }).await?;
    check_invitee(edge, &invitee, &inviter).await?;
    let mut signers = Signers::default();
    signers.add(&sent.event, edge.now());
    let keys = good_at(signers.keys(edge, config, cache, admit).await?, version, invite.made_at());
    let signer = Signer::new(config.server_name.clone(), &config.signing_key_id, &config.signing_key);
    let signed = invite.signed(&keys, &signer.map_err(|_| MatrixError::internal())?).map_err(refused)?;
    if !place.here {
        ask_user(edge, &invitee, told(sent.room_id, &signed, &state)?).await?;
    }
    Ok(json!({ "event": signed.raw() }))
}

/// Who invites, and whom of this server.
fn users(config: &Config, invite: &HandedInvite) -> Result<(OwnedUserId, OwnedUserId), MatrixError> {
    let (inviter, invitee) = invite.users().ok_or_else(|| refused(HandshakeError::OtherEvent("invite")))?;
    if invitee.server_name() != config.server_name {
        return Err(MatrixError::invalid_param("The user is one of another server"));
    }
    Ok((inviter.to_owned(), invitee.to_owned()))
}

/// What the user's hub is told.
fn told(room_id: &RoomId, signed: &Pdu, state: &[RawJson]) -> Result<DeliverInvite, MatrixError> {
    Ok(DeliverInvite {
        room_id: room_id.to_owned(),
        event_id: EventRef::new(signed.id().to_owned())?,
        ts: signed.ts(),
        event: BoundedJson::new(signed.raw().clone())?,
        stripped: shown(state, signed)?,
        knock: false,
    })
}

/// What is wrong with the invite is the request's fault.
fn refused(error: HandshakeError) -> MatrixError {
    match error {
        HandshakeError::Dropped(Dropped::Signature(_)) => MatrixError::invalid_param(error.to_string()),
        error => error.into(),
    }
}

/// Where the room's id is the create event's, what is shown has to begin with that: it says which room it is.
fn check_create(version: &'static Version, room_id: &RoomId, shown: &[RawJson]) -> Result<(), MatrixError> {
    let is_create = |event: &RawJson| {
        let read = Unverified::read(version, room_id, event);
        read.is_ok_and(|read| read.event_id().as_str().strip_prefix('$') == room_id.as_str().strip_prefix('!'))
    };
    if version.room_id_is_create_hash() && !shown.iter().any(is_create) {
        return Err(MatrixError::invalid_param("The room's create event is missing"));
    }
    Ok(())
}

/// The user is there, and does not refuse the invite. Somebody who was made but never signed in has no hub yet.
async fn check_invitee<E: Transport>(edge: &E, user_id: &UserId, inviter: &UserId) -> Result<(), MatrixError> {
    match ask_user(edge, user_id, ReadInvitee { inviter: inviter.to_owned() }).await {
        Err(error) if error.status == 404 => {}
        answered => return answered.map(drop),
    }
    let row = ask_storage(edge, LoadUser { user_id: user_id.to_owned() }).await?;
    let there = row.is_some_and(|row| !row.deactivated);
    if there { Ok(()) } else { Err(MatrixError::not_found("Unknown user")) }
}

/// What the user is shown of the room: what is of the right form and not too long, and the invite.
pub(super) fn shown(events: &[RawJson], invite: &Pdu) -> Result<ShownState, MatrixError> {
    #[derive(Deserialize, serde::Serialize)]
    struct Stripped {
        content: RawJson,
        sender: String,
        state_key: String,
        r#type: String,
    }
    let stripped = |event: &RawJson| BoundedJson::new(RawJson::from_value(&event.read::<Stripped>().ok()?).ok()?).ok();
    let is_invite = |event: &&RawJson| {
        event
            .read::<Stripped>()
            .is_ok_and(|event| event.r#type == "m.room.member" && Some(event.state_key.as_str()) == invite.key())
    };
    let mut shown: Vec<_> = events.iter().filter(|event| !is_invite(event)).filter_map(stripped).collect();
    shown.truncate(MOST_SHOWN - 1);
    let own = stripped_event(invite).map_err(|_| MatrixError::internal())?;
    shown.push(BoundedJson::new(own)?);
    Ok(ShownState::cut(shown))
}
