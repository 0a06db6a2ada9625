//! Query parameters of whatever sends an event.

use tern_model::{MatrixError, Millis};
use tern_ports::wire::room::Draft;

use crate::request::Incoming;

/// The largest number that canonical JSON has.
const LATEST: u64 = (1 << 53) - 1;

/// For how many milliseconds the event is to be sticky (MSC4354). Only messages can be: on other paths the parameter means
/// nothing.
pub(super) fn sticky(request: &Incoming, draft: &Draft) -> Result<Option<u64>, MatrixError> {
    if draft.state_key.is_some() || draft.redacts.is_some() {
        return Ok(None);
    }
    request.query_number("org.matrix.msc4354.sticky_duration_ms")
}

/// `ts`, which only application services may set (Application Service API, "Timestamp massaging").
pub(super) fn timestamp(request: &Incoming) -> Result<Option<Millis>, MatrixError> {
    if request.identity()?.service.is_none() {
        return Ok(None);
    }
    let ts = request.query_number("ts")?;
    if ts.is_some_and(|ts| ts > LATEST) {
        return Err(MatrixError::invalid_param("ts is no timestamp of an event"));
    }
    Ok(ts.map(Millis))
}
