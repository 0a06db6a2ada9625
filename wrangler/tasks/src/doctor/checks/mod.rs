//! Every check: a function from what was seen to a verdict.

mod connection;
mod date;
mod discovery;
mod front;

use super::facts::Facts;
use super::verdict::Verdict;

pub(crate) type Check = fn(&Facts) -> Verdict;

/// In the order in which they are told: what others depend on comes first.
pub(crate) const CHECKS: [(&str, Check); 29] = [
    ("dns", connection::dns),
    ("encrypted", connection::encrypted),
    ("certificate", connection::certificate),
    ("post-quantum", connection::post_quantum),
    ("plain-http", connection::plain_http),
    ("http2", connection::http2),
    ("http3", connection::http3),
    ("reachable", discovery::reachable),
    ("versions", discovery::versions),
    ("well-known-client", discovery::well_known_client),
    ("well-known-server", discovery::well_known_server),
    ("server-name", discovery::server_name),
    ("sign-in", discovery::sign_in),
    ("login", discovery::login),
    ("registration", discovery::registration),
    ("federation", discovery::federation),
    ("cors", front::cors),
    ("preflight", front::preflight),
    ("compression", front::compression),
    ("challenge", front::challenge),
    ("errors", front::errors),
    ("token", front::token),
    ("methods", front::methods),
    ("encoded-path", front::encoded_path),
    ("cache", front::cached),
    ("in-front", front::in_front),
    ("administration", front::administration),
    ("clock", connection::clock),
    ("latency", connection::latency),
];
