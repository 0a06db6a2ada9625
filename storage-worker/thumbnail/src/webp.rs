//! Lossy WebP, by a port of libwebp that needs no C.

use zenwebp::EncoderConfig;

use crate::decode::Pixels;

/// Quality on libwebp's scale: what looks like the JPEG of `encode` beside it.
const QUALITY: f32 = 82.0;

/// Effort on libwebp's scale of 0 to 6: made once, sent often.
const METHOD: u8 = 6;

/// The file; `None` when the encoder refuses.
pub(crate) fn encode(pixels: &Pixels) -> Option<Vec<u8>> {
    let config = EncoderConfig::new().quality(QUALITY).method(METHOD);
    match pixels {
        Pixels::Rgb(image) => config.encode_rgb(image.as_raw(), image.width(), image.height()),
        Pixels::Rgba(image) => config.encode_rgba(image.as_raw(), image.width(), image.height()),
    }
    .ok()
}
