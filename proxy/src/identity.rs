//! From a request's headers to its caller. No business rule: tokens are `tern-auth`'s, sessions the hubs'.

use std::rc::Rc;

use ruma::{OwnedDeviceId, UserId};
use tern_auth::{Check, TokenError, Verified, appservice::by_token, oauth::scope::Rights, secret};
use tern_edge::appservice;
use tern_model::{Caller, MatrixError, Millis};
use tern_ports::{
    Clock, ask_user,
    wire::{
        policy::Standing,
        user::{CheckSession, SessionRef},
    },
};
use worker::Headers;

use crate::{edge::Edge, query::parse_query};

/// Who may call a route. There is no default: a route without a class does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Anybody.
    Open,
    /// Anybody, as often as they like: the answer follows from the configuration alone and costs no more than the refusal
    /// would, while clients that are refused it give up their sessions.
    Fixed,
    /// A token whose session was confirmed within the last seconds; the proxy confirms it when it was not.
    Token,
    /// Anybody; whoever sends a token is known by it, and refused when it is not good.
    Optional,
    /// A token. The handler asks the caller's own hub, which refuses an ended session itself.
    Hub,
    /// A token of whatever scope whose session was confirmed: for the userinfo endpoint.
    AnyToken,
    /// Another server, which has signed the request.
    Federation,
    /// The administration token.
    Admin,
    /// The administration token, or the one of whoever collects metrics; else a token whose session was confirmed, and the
    /// handler asks whether its user is an administrator.
    Scrape,
}

/// A caller whose token is genuine.
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    session_id: String,
    token: String,
    pub(crate) rights: Rights,
    /// How the user stands, as far as that was asked.
    pub(crate) standing: Standing,
    /// The id of the application service that acts as the user.
    pub(crate) service: Option<String>,
}

impl Identity {
    fn of(verified: &Verified, token: &str, standing: Standing) -> Self {
        Self {
            caller: verified.caller.clone(),
            session_id: verified.session_id.clone(),
            token: token.to_owned(),
            rights: verified.rights,
            standing,
            service: None,
        }
    }

    /// The session, for the caller's own hub.
    pub(crate) fn session(&self) -> SessionRef {
        if self.service.is_some() {
            return SessionRef::of_service(self.caller.device_id.clone());
        }
        SessionRef { device_id: self.caller.device_id.clone(), session_id: self.session_id.clone() }
    }
}

/// Establishes who asks, as far as the route's auth class demands.
pub(crate) async fn establish(
    edge: &Edge,
    auth: Auth,
    headers: &Headers,
    query: &str,
) -> Result<Option<Identity>, MatrixError> {
    // Another server is known by what it signed, the body among it: `router` has that first.
    if matches!(auth, Auth::Open | Auth::Fixed | Auth::Federation) {
        return Ok(None);
    }
    let token = match bearer(headers) {
        None if auth == Auth::Optional => return Ok(None),
        token => token.ok_or_else(MatrixError::missing_token)?,
    };
    if auth == Auth::Admin {
        return admit_admin(edge, &token).map(|()| None);
    }
    if auth == Auth::Scrape && is_collector(edge, &token) {
        return Ok(None);
    }
    let now = edge.now();
    let check = edge.tokens.borrow_mut().check(&edge.config, &token, now);
    let verified = match check {
        Check::Fresh(verified) => verified,
        Check::Confirm(verified) if auth == Auth::Hub => verified,
        Check::Confirm(verified) => return confirm(edge, &verified, &token).await.map(Some),
        Check::Refused(TokenError::Expired) => return Err(MatrixError::unknown_token(true)),
        Check::Refused(_) => return act_as(edge, &token, query).await.map(Some),
    };
    if auth != Auth::AnyToken && !verified.rights.api {
        return Err(MatrixError::forbidden("This access token is not for the Client-Server API"));
    }
    // Where the hub is asked anyway it judges, and whether the session was just confirmed makes no difference.
    let standing = if auth == Auth::Hub { Standing::Unknown } else { Standing::Good };
    Ok(Some(Identity::of(&verified, &token, standing)))
}

/// Asks the caller's hub whether the session is still open. That of a suspended user is asked after each time, so that a
/// suspension counts at once.
async fn confirm(edge: &Edge, verified: &Rc<Verified>, token: &str) -> Result<Identity, MatrixError> {
    let asked = edge.now();
    let identity = Identity::of(verified, token, Standing::Good);
    let check = CheckSession { session: identity.session() };
    match ask_user(edge, &verified.caller.user_id, check).await {
        Ok(state) if state.suspended => Ok(Identity { standing: Standing::Suspended, ..identity }),
        Ok(_) => {
            edge.tokens.borrow_mut().confirm(token, asked);
            Ok(identity)
        }
        Err(error) => {
            // A lock can be taken off again.
            if error.errcode == "M_UNKNOWN_TOKEN" {
                edge.tokens.borrow_mut().end(token);
            }
            Err(error)
        }
    }
}

/// A token that is none of a user's may be an application service's, which acts as the user it names. The router has not
/// read the query yet, since nobody else's is needed here.
async fn act_as(edge: &Edge, token: &str, query: &str) -> Result<Identity, MatrixError> {
    let service = by_token(&edge.config, token).ok_or_else(|| MatrixError::unknown_token(false))?;
    let query = parse_query(query);
    let given = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let device = given("device_id").or_else(|| given("org.matrix.msc3202.device_id"));
    let actor = appservice::actor(edge, &edge.config, service, given("user_id"), device).await?;
    edge.awake.note_service(edge, &service.id, edge.now()).await;
    Ok(Identity {
        caller: actor.caller,
        session_id: String::new(),
        token: String::new(),
        rights: Rights::LEGACY,
        standing: if actor.suspended { Standing::Suspended } else { Standing::Good },
        service: Some(service.id.clone()),
    })
}

fn admit_admin(edge: &Edge, token: &str) -> Result<(), MatrixError> {
    match &edge.config.admin_token {
        Some(expected) if secret::same(expected, token) => Ok(()),
        _ => Err(MatrixError::unknown_token(false)),
    }
}

/// Both comparisons are made, whatever the first says.
fn is_collector(edge: &Edge, token: &str) -> bool {
    let same = |secret: Option<&str>| secret.is_some_and(|secret| secret::same(secret, token));
    let own = edge.metrics_token();
    same(own.as_deref()) | same(edge.config.admin_token.as_deref())
}

pub(crate) fn bearer(headers: &Headers) -> Option<String> {
    let value = headers.get("authorization").ok().flatten()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned()).filter(|token| !token.is_empty())
}

impl Edge {
    /// The caller's hub has answered for the session at `at`: it was open then.
    pub(crate) fn confirmed(&self, identity: &Identity, at: Millis) {
        self.tokens.borrow_mut().confirm(&identity.token, at);
    }
}

/// The tokens of these devices, or of all, are refused from now on in this isolate. Others notice within seconds.
pub(crate) fn end_tokens(edge: &Edge, user_id: &UserId, devices: Option<&[OwnedDeviceId]>) {
    edge.tokens.borrow_mut().end_where(|verified| {
        verified.caller.user_id == user_id && devices.is_none_or(|devices| devices.contains(&verified.caller.device_id))
    });
}
