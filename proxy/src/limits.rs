//! Rate limits that are decided here, in the isolate, without a hop. Those that must be exact are part of the flows.

use ruma::ServerName;
use tern_auth::{limit::address, refresh};
use tern_edge::limit::class_of;
use tern_model::{Class, MatrixError};
use tern_ports::{Clock, wire::room::Draft};

use crate::{
    edge::Edge,
    identity::{Auth, Identity},
};

/// Counts a request: for its user where there is one, else for its address.
pub(crate) fn admit(
    edge: &Edge,
    auth: Auth,
    class: Option<Class>,
    identity: Option<&Identity>,
    ip: Option<&str>,
) -> Result<(), MatrixError> {
    // A refresh is counted by its handler, which knows the session.
    // A server is counted by its name, once that is known.
    if matches!(auth, Auth::Admin | Auth::Fixed | Auth::Federation) || class == Some(Class::Refresh) {
        return Ok(());
    }
    if identity.is_some_and(|identity| is_unlimited(edge, identity)) {
        return Ok(());
    }
    let mut meters = edge.meters.borrow_mut();
    match identity {
        Some(identity) => {
            let class = class.unwrap_or(Class::Other);
            meters.user(&edge.config, class, &identity.caller.user_id, edge.now())
        }
        None => meters.address(&edge.config, class.unwrap_or(Class::Public), &address(ip), edge.now()),
    }
}

fn is_unlimited(edge: &Edge, identity: &Identity) -> bool {
    let service = identity.service.as_ref();
    service.is_some_and(|id| edge.config.accounts.appservices.iter().any(|one| one.id == *id && !one.rate_limited))
}

/// Counts a request whose token was refused with `error`, for its address. One that is over was no guess, and its client is to
/// hear that whatever others at the same address do.
pub(crate) fn admit_refused(edge: &Edge, error: &MatrixError, ip: Option<&str>) -> Result<(), MatrixError> {
    if error.status >= 500 || error.soft_logout == Some(true) {
        return Ok(());
    }
    edge.meters.borrow_mut().address(&edge.config, Class::BadToken, &address(ip), edge.now())
}

/// Counts a request whose sender has to be asked for its keys, for its address: whoever makes up senders has others asked.
pub(crate) fn admit_stranger(edge: &Edge, ip: Option<&str>) -> Result<(), MatrixError> {
    edge.meters.borrow_mut().address(&edge.config, Class::BadToken, &address(ip), edge.now())
}

/// Counts a request of another server, for that server.
pub(crate) fn admit_server(edge: &Edge, server: &ServerName) -> Result<(), MatrixError> {
    edge.meters.borrow_mut().address(&edge.config, Class::Federation, server.as_str(), edge.now())
}

/// Counts, beyond the request, what it does by the way it is not named for.
pub(crate) fn admit_further(edge: &Edge, identity: &Identity, class: Class, number: u32) -> Result<(), MatrixError> {
    if is_unlimited(edge, identity) {
        return Ok(());
    }
    let user_id = &identity.caller.user_id;
    edge.meters.borrow_mut().user_many(&edge.config, (class, number), user_id, edge.now())
}

/// Counts an event for what it does. Messages, and redactions by their own endpoint, were counted with the request.
pub(crate) fn admit_event(edge: &Edge, identity: &Identity, draft: &Draft) -> Result<(), MatrixError> {
    match class_of(draft) {
        Class::Message => Ok(()),
        Class::Redact if draft.redacts.is_some() => Ok(()),
        class => admit_further(edge, identity, class, 1),
    }
}

/// Counts a request that may be a refresh: for the session that the token was written for, so that nobody at the same
/// address can use it up; for the address where there is no such token.
pub(crate) fn admit_refresh(edge: &Edge, token: Option<&str>, ip: Option<&str>) -> Result<(), MatrixError> {
    let claim = token.and_then(|token| refresh::read(&edge.config, token));
    let mut meters = edge.meters.borrow_mut();
    match claim.and_then(|claim| claim.session_id) {
        Some(session_id) => meters.refresh(&edge.config, &session_id, edge.now()),
        None => meters.address(&edge.config, Class::Public, &address(ip), edge.now()),
    }
}
