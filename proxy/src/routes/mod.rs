//! The route table: the map of the server. One file per API family, one function per endpoint.

mod admin;
mod client;
mod federation;
mod oauth;

use crate::route::Route;

/// Every endpoint that clients and other servers call, the busiest families first.
pub(crate) static ALL: &[&[Route]] = &[
    client::sync::ROUTES,
    client::send::ROUTES,
    client::ephemeral::ROUTES,
    client::history::ROUTES,
    client::relations::ROUTES,
    client::legacy_sync::ROUTES,
    client::threads::ROUTES,
    client::membership::ROUTES,
    client::account_data::ROUTES,
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
    client::spaces::ROUTES,
    client::search::ROUTES,
    client::delayed::ROUTES,
    client::user_directory::ROUTES,
    client::report::ROUTES,
    client::third_party::ROUTES,
    client::openid::ROUTES,
    client::voip::ROUTES,
    client::rtc::ROUTES,
    client::account_management::ROUTES,
    client::moderation::ROUTES,
    client::threepids::ROUTES,
    client::appservice::ROUTES,
    admin::ROUTES,
    admin::users::ROUTES,
    admin::tokens::ROUTES,
    admin::appservices::ROUTES,
    admin::destinations::ROUTES,
    admin::metrics::ROUTES,
    admin::backup::ROUTES,
    federation::keys::ROUTES,
    federation::queries::ROUTES,
    federation::rooms::ROUTES,
    federation::send::ROUTES,
    federation::handshake::ROUTES,
    federation::media::ROUTES,
    oauth::ROUTES,
    oauth::RENDEZVOUS,
];
