//! Rate limits that are decided here, in the isolate, without a hop. Those that must be exact are part of the flows.

use tern_auth::{limit::address, refresh};
use tern_model::{Class, MatrixError};
use tern_ports::Clock;

use crate::{edge::Edge, identity::Identity, router::Auth};

/// Counts a request: for its user where there is one, else for its address.
pub(crate) fn admit(
    edge: &Edge,
    auth: Auth,
    class: Option<Class>,
    identity: Option<&Identity>,
    ip: Option<&str>,
) -> Result<(), MatrixError> {
    // A refresh is counted by its handler, which knows the session.
    if matches!(auth, Auth::Admin | Auth::Fixed) || class == Some(Class::Refresh) {
        return Ok(());
    }
    let service = identity.and_then(|identity| identity.service.as_ref());
    let unlimited = |id: &String| edge.config.accounts.appservices.iter().any(|one| one.id == *id && !one.rate_limited);
    if service.is_some_and(unlimited) {
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
