//! What a token is worth (RFC 7662), and that it is worth nothing any more (RFC 7009).

use ruma::OwnedUserId;
use tern_auth::{
    refresh,
    token::{verify, verify_ended},
};
use tern_model::{Caller, Config, MatrixError};
use tern_ports::{
    Clock, Transport, ask_user,
    wire::{
        grant::{InspectGrant, Inspected, Inspection, RevokeGrant},
        user::{CloseSessions, SessionRef},
    },
};

/// What a revoked token belonged to: the tokens of this device are refused from now on. A client that only learns who the
/// user is has none, and its one token is over.
pub type Revoked = Option<(OwnedUserId, ruma::OwnedDeviceId)>;

/// `POST /oauth2/revoke` (RFC 7009): ends the session of an access or refresh token, whoever asks. One hop.
///
/// # Errors
/// Only when the hub cannot be asked: a token that is not good is revoked already.
pub async fn revoke<E: Transport + Clock>(edge: &E, config: &Config, token: &str) -> Result<Revoked, MatrixError> {
    if let Some(user_id) = refresh::read(config, token).map(|claim| claim.user_id) {
        let revoked = ask_user(edge, &user_id, RevokeGrant { refresh_token: token.to_owned() }).await;
        return Ok(unless_refused(revoked)?.flatten().map(|device_id| (user_id, device_id)));
    }
    // An expired token still says which session is meant.
    let Ok(verified) = verify_ended(config, token) else { return Ok(None) };
    let Caller { user_id, device_id } = verified.caller;
    let session = SessionRef { device_id: device_id.clone(), session_id: verified.session_id };
    let close = CloseSessions { session: Some(session), devices: Some(vec![device_id.clone()]), except: None };
    Ok(unless_refused(ask_user(edge, &user_id, close).await)?.map(|_| (user_id, device_id)))
}

/// `POST /oauth2/introspect` (RFC 7662). One hop.
///
/// # Errors
/// Only when the hub cannot be asked.
pub async fn introspect<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    token: &str,
) -> Result<Option<(OwnedUserId, Inspection, Option<u64>)>, MatrixError> {
    let (user_id, of, expires) = if let Some(user_id) = refresh::read(config, token).map(|claim| claim.user_id) {
        (user_id, Inspected::Refresh(token.to_owned()), None)
    } else if let Ok(verified) = verify(config, token, edge.now()) {
        let Caller { user_id, device_id } = verified.caller;
        let session = SessionRef { device_id, session_id: verified.session_id };
        (user_id, Inspected::Session(session), verified.expires.map(|end| end.0 / 1000))
    } else {
        return Ok(None);
    };
    let inspected = ask_user(edge, &user_id, InspectGrant { of }).await;
    Ok(unless_refused(inspected)?.flatten().map(|inspection| (user_id, inspection, expires)))
}

/// What the hub said, nothing when it refused.
fn unless_refused<T>(answer: Result<T, MatrixError>) -> Result<Option<T>, MatrixError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status < 500 => Ok(None),
        Err(error) => Err(error),
    }
}
