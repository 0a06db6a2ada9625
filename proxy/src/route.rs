//! What a route is: method, path, who may call it, what is done with the body, and the handler.

use futures::future::LocalBoxFuture;
use tern_model::{Class, MatrixError};
use worker::Method;

use crate::{edge::Edge, identity::Auth, request::Incoming, respond::Answer};

/// What is done with the body of a request before its handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// It is read to its end, up to a limit.
    Whole,
    /// Likewise, up to the limit of what servers send each other.
    Large,
    /// Nothing: the handler passes it on unread, and sees to its limits.
    Streamed,
}

/// What answers a route.
pub(crate) type Handler = for<'a> fn(&'a Edge, &'a Incoming) -> LocalBoxFuture<'a, Result<Answer, MatrixError>>;

/// One endpoint.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Path template: literal segments and `{name}`.
    pub(crate) path: &'static str,
    pub(crate) auth: Auth,
    /// Which rate limit counts a request, when not the general one.
    pub(crate) class: Option<Class>,
    pub(crate) intake: Intake,
    pub(crate) handler: Handler,
}

/// Writes a table of routes: auth class, rate limit where it is not the general one, method, `streamed` where the handler
/// takes the body unread, `large` where it is longer than those of clients, path, handler.
macro_rules! routes {
    (@class) => { None };
    (@class $class:ident) => { Some(tern_model::Class::$class) };
    (@intake) => { crate::route::Intake::Whole };
    (@intake streamed) => { crate::route::Intake::Streamed };
    (@intake large) => { crate::route::Intake::Large };
    ($($auth:ident $(($class:ident))? $method:ident $($intake:ident)? $path:literal => $handler:path;)*) => {
        &[$(crate::route::Route {
            method: worker::Method::$method,
            path: $path,
            auth: crate::identity::Auth::$auth,
            class: crate::route::routes!(@class $($class)?),
            intake: crate::route::routes!(@intake $($intake)?),
            handler: |edge, request| Box::pin($handler(edge, request)),
        },)*]
    };
}
pub(crate) use routes;
