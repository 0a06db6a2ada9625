//! Pages that only the owner of an account sees.

use tern_edge::browser::Signed;
use tern_model::MatrixError;
use tern_ports::Clock;

use super::page_request::{PageRequest, page};
use crate::{edge::Edge, request::Incoming, respond::Answer};

/// How long after signing in somebody may do what cannot be undone, in milliseconds.
const SENSITIVE_FOR: u64 = 15 * 60 * 1000;

/// Whether somebody has signed in a short time ago.
pub(super) fn is_recent(edge: &Edge, signed: &Signed) -> bool {
    edge.now().since(signed.view.since) < SENSITIVE_FOR
}

/// Runs a page for somebody who is signed in; everybody else signs in first.
pub(super) async fn own<'a>(
    edge: &'a Edge,
    request: &'a Incoming,
    work: impl AsyncFnOnce(&PageRequest<'a>, Signed) -> Result<Answer, MatrixError>,
) -> Result<Answer, MatrixError> {
    page(edge, request, async |page_request| match page_request.must_sign_in().await? {
        Ok(signed) => work(page_request, signed).await,
        Err(answer) => Ok(answer),
    })
    .await
}

/// As [`own`], for what cannot be undone: whoever signed in a while ago does so again (MSC4191, "Security considerations").
pub(super) async fn own_lately<'a>(
    edge: &'a Edge,
    request: &'a Incoming,
    work: impl AsyncFnOnce(&PageRequest<'a>, Signed) -> Result<Answer, MatrixError>,
) -> Result<Answer, MatrixError> {
    own(edge, request, async |page_request, signed| {
        if is_recent(edge, &signed) {
            return work(page_request, signed).await;
        }
        Ok(page_request.sign_in_again(&request.address, signed.user_id.localpart()))
    })
    .await
}
