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

/// A time as HTTP writes it (RFC 9110, 5.6.7).
#[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^53")]
pub(crate) fn http_date(at: Millis) -> String {
    js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(at.0 as f64)).to_utc_string().into()
}
