//! Time and randomness.

use tern_model::Millis;

/// Now. In production the clock stands still between I/O.
pub(crate) fn now() -> Millis {
    Millis(worker::Date::now().as_millis())
}

/// Fills `bytes` from the platform's cryptographic source.
#[expect(clippy::disallowed_methods, reason = "this is the Entropy port")]
pub(crate) fn fill(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        // Never go on with predictable bytes: an abort resets the isolate, and every object has its truth on disk.
        std::process::abort();
    }
}
