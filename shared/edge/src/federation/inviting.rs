//! Inviting users of other servers (Server-Server API, "Inviting to a room"): the room's hub makes the invite, their server
//! signs it as well, and only then it becomes part of the room.

use std::iter::once;

use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::json;
use tern_model::{Bounded, BoundedJson, Config, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_room,
    wire::{
        invite::{PrepareInvite, PreparedInvite},
        receive::{PduResult, ReceiveEvents},
    },
};

use super::{
    event_keys::own_keys,
    lookup::escaped,
    remote::{SOON, ask, unusable},
    through::candidates,
};

/// Until the last byte of the answer, in milliseconds.
const TIMEOUT_MS: u64 = 30_000;

/// An invite of a user of another server.
#[derive(Clone, Debug)]
pub struct Invite<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// Who invites.
    pub caller: &'a UserId,
    /// Whom.
    pub target: OwnedUserId,
    /// `reason`.
    pub reason: Option<String>,
    /// Further content.
    pub content: Option<RawJson>,
}

/// Invites.
///
/// # Errors
/// The room's refusal; that of the other server, 403 also for one that is not met; 502 and 504 when it cannot be asked.
pub async fn invite<E: Transport>(edge: &E, config: &Config, invite: Invite<'_>) -> Result<(), MatrixError> {
    let Invite { room_id, caller, target, reason, content } = invite;
    let server = candidates(config, once(target.server_name()), 1).pop();
    let server = server.ok_or_else(|| MatrixError::forbidden("This server does not federate with the user's"))?;
    let (reason, content) = (reason.map(Bounded::new).transpose()?, content.map(BoundedJson::new).transpose()?);
    let prepare = PrepareInvite { caller: caller.to_owned(), target, reason, content };
    let Some(prepared) = ask_room(edge, room_id, prepare).await? else { return Ok(()) };
    let event = countersigned(edge, room_id, &prepared, &server).await?;
    let keys = own_keys(config);
    let origin = config.server_name.clone();
    let receive = ReceiveEvents { origin, version: None, events: vec![event], outliers: Vec::new(), keys };
    let mut receipts = ask_room(edge, room_id, receive).await?;
    match receipts.pop().map(|receipt| receipt.result) {
        Some(PduResult::Accepted) => Ok(()),
        Some(PduResult::Rejected(reason) | PduResult::SoftFailed(reason)) => Err(MatrixError::forbidden(reason)),
        // The room has moved so far meanwhile that the invite is to be made anew.
        _ => Err(MatrixError::unavailable()),
    }
}

/// The invite with the signature of the user's server. All else that it says of the event is passed over.
async fn countersigned<E: Transport>(
    edge: &E,
    room_id: &RoomId,
    prepared: &PreparedInvite,
    server: &ServerName,
) -> Result<RawJson, MatrixError> {
    #[derive(Deserialize)]
    struct Answer {
        event: Signed,
    }
    #[derive(Deserialize)]
    struct Signed {
        signatures: CanonicalJsonObject,
    }
    let (room, event) = (escaped(room_id.as_str()), escaped(prepared.event_id.as_str()));
    let target = format!("/_matrix/federation/v2/invite/{room}/{event}");
    let body = json!({
        "room_version": prepared.version, "event": prepared.event, "invite_room_state": prepared.shown,
    });
    let body = RawJson::from_value(&body).map_err(|_| MatrixError::internal())?;
    let Answer { event } = ask(edge, server, (target, Some(body)), (TIMEOUT_MS, SOON.1)).await?;
    let is_theirs = |(name, _): &(String, CanonicalJsonValue)| name.eq_ignore_ascii_case(server.as_str());
    let theirs = event.signatures.into_iter().find(is_theirs).ok_or_else(|| unusable("the invite is not signed"))?;
    let mut signed: CanonicalJsonObject = prepared.event.read().map_err(|_| MatrixError::internal())?;
    match signed.get_mut("signatures") {
        Some(CanonicalJsonValue::Object(signatures)) => drop(signatures.insert(theirs.0, theirs.1)),
        _ => return Err(MatrixError::internal()),
    }
    RawJson::from_value(&signed).map_err(|_| MatrixError::internal())
}
