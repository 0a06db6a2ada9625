//! Inviting users of other servers (Server-Server API, "Inviting to a room"): the room's hub makes the invite, their server
//! signs it as well, and only then it becomes part of the room.

use std::{collections::BTreeMap, iter::once};

use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedServerName, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::json;
use tern_model::{Bounded, BoundedJson, Config, MatrixError, Millis, RawJson};
use tern_ports::{
    Clock, Transport, ask_room,
    wire::{
        invite::{PrepareInvite, PreparedInvite},
        receive::{PduResult, ReceiveEvents},
    },
};
use tern_room::{Version, resident::is_signed};

use super::{
    event_keys::{good_at, own_keys, written},
    key_cache::look_up,
    requests::{SOON, ask, escaped, unusable},
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

/// Most keys of the other server that one signature is looked at with.
const MOST_KEYS: usize = 4;

/// The server that is asked whether a user may be invited.
///
/// # Errors
/// 403 `M_FORBIDDEN` for one that is not met.
pub(crate) fn server_of(config: &Config, target: &UserId) -> Result<OwnedServerName, MatrixError> {
    let server = candidates(config, once(target.server_name()), 1).pop();
    server.ok_or_else(|| MatrixError::forbidden("This server does not federate with the user's"))
}

/// Invites. The invite's id; nothing when the user is invited like that already.
///
/// # Errors
/// The room's refusal; that of the other server, 403 also for one that is not met; 502 and 504 when it cannot be asked.
pub async fn invite<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    invite: Invite<'_>,
) -> Result<Option<OwnedEventId>, MatrixError> {
    let Invite { room_id, caller, target, reason, content } = invite;
    let server = server_of(config, &target)?;
    let (reason, content) = (reason.map(Bounded::new).transpose()?, content.map(BoundedJson::new).transpose()?);
    let prepare = PrepareInvite { caller: caller.to_owned(), target, reason, content };
    let Some(prepared) = ask_room(edge, room_id, prepare).await? else { return Ok(None) };
    let event = countersigned(edge, room_id, &prepared, &server).await?;
    let keys = own_keys(config);
    let origin = config.server_name.clone();
    let receive = ReceiveEvents { origin, version: None, events: vec![event], outliers: Vec::new(), keys };
    let mut receipts = ask_room(edge, room_id, receive).await?;
    match receipts.pop().map(|receipt| receipt.result) {
        Some(PduResult::Accepted) => Ok(Some(prepared.event_id.into_id())),
        Some(PduResult::Rejected(reason) | PduResult::SoftFailed(reason)) => Err(MatrixError::forbidden(reason)),
        // The room has moved so far meanwhile that the invite is to be made anew.
        _ => Err(MatrixError::unavailable()),
    }
}

/// The invite with the signature of the user's server. All else that it says of the event is passed over.
async fn countersigned<E: Transport + Clock>(
    edge: &E,
    room_id: &RoomId,
    prepared: &PreparedInvite,
    server: &OwnedServerName,
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
    let unsigned = || unusable("the invite is not signed");
    let theirs = event.signatures.into_iter().find(is_theirs).ok_or_else(unsigned)?;
    let mut signed: CanonicalJsonObject = prepared.event.read().map_err(|_| MatrixError::internal())?;
    let theirs = genuine(edge, prepared, (signed.clone(), server), theirs).await?.ok_or_else(unsigned)?;
    match signed.get_mut("signatures") {
        Some(CanonicalJsonValue::Object(signatures)) => drop(signatures.insert(theirs.0, theirs.1)),
        _ => return Err(MatrixError::internal()),
    }
    RawJson::from_value(&signed).map_err(|_| MatrixError::internal())
}

/// Those of the signatures that are of the invite, by keys of the user's server that are good now; nothing when one is not, or
/// none is. The others stay out of the event, since others could not read what they are.
async fn genuine<E: Transport + Clock>(
    edge: &E,
    prepared: &PreparedInvite,
    (event, server): (CanonicalJsonObject, &OwnedServerName),
    (name, signatures): (String, CanonicalJsonValue),
) -> Result<Option<(String, CanonicalJsonValue)>, MatrixError> {
    let version = Version::known(&prepared.version).ok_or_else(MatrixError::internal)?;
    let (Ok(written_name), CanonicalJsonValue::Object(mut signatures)) =
        (OwnedServerName::try_from(name.as_str()), signatures)
    else {
        return Ok(None);
    };
    let now = edge.now();
    let wanted: BTreeMap<String, Millis> = signatures.keys().take(MOST_KEYS).map(|id| (id.clone(), now)).collect();
    let keys = written(&written_name, &wanted, look_up(edge, server, &wanted).await?);
    let keys = good_at(keys, version, now);
    signatures.retain(|key_id, _| keys.get(&name).is_some_and(|keys| keys.contains_key(key_id)));
    let theirs = (name, CanonicalJsonValue::Object(signatures));
    Ok(is_signed(version, event, theirs.clone(), &keys).then_some(theirs))
}
