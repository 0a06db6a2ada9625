//! Rate limits that are decided here, in the isolate, without a hop. Those that must be exact are part of the flows.

use tern_auth::limit::address;
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
    if auth == Auth::Admin {
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
