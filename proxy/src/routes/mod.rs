//! The route table: the map of the server. One file per API family, one function per endpoint.

mod admin;
pub(crate) mod client;
mod oauth;

use crate::{
    pages::{account, consent, entry, fallback, mail, security, sso},
    router::Route,
};

/// Writes a table of routes: auth class, rate limit where it is not the general one, method, `streamed` where the handler
/// takes the body unread, path, handler.
macro_rules! routes {
    (@class) => { None };
    (@class $class:ident) => { Some(tern_model::Class::$class) };
    (@intake) => { crate::router::Intake::Whole };
    (@intake streamed) => { crate::router::Intake::Streamed };
    ($($auth:ident $(($class:ident))? $method:ident $($streamed:ident)? $path:literal => $handler:path;)*) => {
        &[$(crate::router::Route {
            method: worker::Method::$method,
            path: $path,
            auth: crate::router::Auth::$auth,
            class: crate::routes::routes!(@class $($class)?),
            intake: crate::routes::routes!(@intake $($streamed)?),
            handler: |edge, request| Box::pin($handler(edge, request)),
        },)*]
    };
}
pub(crate) use routes;

/// Every endpoint, the busiest families first.
pub(crate) static ALL: &[&[Route]] = &[
    client::sync::ROUTES,
    client::send::ROUTES,
    client::ephemeral::ROUTES,
    client::history::ROUTES,
    client::relations::ROUTES,
    client::legacy_sync::ROUTES,
    client::threads::ROUTES,
    client::membership::ROUTES,
    client::account::ROUTES,
    client::keys::ROUTES,
    client::to_device::ROUTES,
    client::key_backup::ROUTES,
    client::dehydrated::ROUTES,
    client::profile::ROUTES,
    client::presence::ROUTES,
    client::media::ROUTES,
    client::thumbnails::ROUTES,
    client::preview::ROUTES,
    client::push::ROUTES,
    client::devices::ROUTES,
    client::session::ROUTES,
    client::discovery::ROUTES,
    client::directory::ROUTES,
    client::search::ROUTES,
    client::delayed::ROUTES,
    client::around::ROUTES,
    client::rtc::ROUTES,
    client::credentials::ROUTES,
    client::moderation::ROUTES,
    client::threepids::ROUTES,
    client::appservice::ROUTES,
    admin::ROUTES,
    admin::users::ROUTES,
    admin::tokens::ROUTES,
    account::ROUTES,
    security::ROUTES,
    entry::ROUTES,
    consent::ROUTES,
    mail::ROUTES,
    sso::ROUTES,
    fallback::ROUTES,
    oauth::ROUTES,
    oauth::RENDEZVOUS,
];
