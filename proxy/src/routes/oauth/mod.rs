//! The endpoints of the OAuth 2.0 provider that clients call. What people see is in `pages`.

mod endpoints;
mod rendezvous;

use crate::route::Route;

pub(crate) const ROUTES: &[Route] = endpoints::ROUTES;
pub(crate) const RENDEZVOUS: &[Route] = rendezvous::ROUTES;
