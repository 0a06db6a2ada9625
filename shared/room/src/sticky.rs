//! Which events are sticky, and until when (MSC4354).

use serde::Deserialize;
use tern_model::{Millis, Pdu};

/// The longest time, in milliseconds: an hour.
pub const LONGEST_MS: u64 = 3_600_000;

/// The object beside `content` that makes an event sticky; not protected from redaction.
pub(crate) const FIELD: &str = "msc4354_sticky";

/// Until when an event that came in at `received` is sticky; `None` when it never was, or is no more. What it says of
/// itself counts from `origin_server_ts`, but from no time to come.
pub fn sticky_until(pdu: &Pdu, received: Millis) -> Option<Millis> {
    #[derive(Deserialize)]
    struct Event {
        msc4354_sticky: Duration,
    }
    #[derive(Deserialize)]
    struct Duration {
        duration_ms: u64,
    }
    // Few events are, and all are asked.
    if !pdu.raw().text().contains(FIELD) {
        return None;
    }
    let duration = pdu.raw().read::<Event>().ok()?.msc4354_sticky.duration_ms;
    let until = pdu.ts().min(received).plus(duration.min(LONGEST_MS));
    (until > received).then_some(until)
}
