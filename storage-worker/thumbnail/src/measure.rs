//! What a picture will cost, from its header alone.

use std::io::Cursor;

use image::{
    ColorType, ImageDecoder, ImageFormat,
    codecs::{gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder},
    metadata::Orientation,
};

use crate::ThumbnailError;

/// Memory that decoding and shrinking one picture may take, in bytes, the file not counted: not half of what the platform
/// gives to an isolate, which other requests share. A plain JPEG of 16 million pixels fits.
pub const MEMORY: u64 = 48 << 20;

/// A picture whose header has been read.
pub(crate) struct Source<'a> {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) color: ColorType,
    pub(crate) orientation: Orientation,
    pub(crate) content_type: &'static str,
    pub(crate) decoder: Box<dyn ImageDecoder + 'a>,
}

impl Source<'_> {
    /// Whether it is shown with its sides exchanged.
    pub(crate) const fn is_turned(&self) -> bool {
        matches!(
            self.orientation,
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
        )
    }
}

/// Whether a file begins like a picture of a kind that can be read.
pub(crate) fn is_picture(file: &[u8]) -> bool {
    image::guess_format(file).is_ok_and(|format| decoder(file, format).is_ok())
}

/// Reads the header; refuses what would take too much.
pub(crate) fn open(file: &[u8]) -> Result<Source<'_>, ThumbnailError> {
    let format = image::guess_format(file).map_err(|_| ThumbnailError::NotAPicture)?;
    let (mut decoder, working) = decoder(file, format)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width).saturating_mul(u64::from(height));
    // What comes out, what the codec keeps while it works, and a copy when colours must be converted or transparency
    // multiplied in.
    let color = decoder.color_type();
    let copied = if color == ColorType::Rgb8 { 0 } else { 4 };
    let cost = decoder.total_bytes().saturating_add(pixels.saturating_mul(working.max(copied)));
    if width == 0 || height == 0 {
        return Err(ThumbnailError::NotAPicture);
    }
    if cost > MEMORY {
        return Err(ThumbnailError::TooLarge);
    }
    // A damaged orientation is none.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Source { width, height, color, orientation, content_type: format.to_mime_type(), decoder })
}

/// The decoder, and how many bytes a pixel it keeps besides its output.
fn decoder(file: &[u8], format: ImageFormat) -> Result<(Box<dyn ImageDecoder + '_>, u64), ThumbnailError> {
    let reader = Cursor::new(file);
    let damaged = |_| ThumbnailError::NotAPicture;
    Ok(match format {
        ImageFormat::Jpeg => {
            (Box::new(JpegDecoder::new(reader).map_err(damaged)?), if is_progressive(file) { 6 } else { 0 })
        }
        ImageFormat::Png => (Box::new(PngDecoder::new(reader).map_err(damaged)?), 0),
        // The whole canvas is kept beside the output.
        ImageFormat::Gif => (Box::new(GifDecoder::new(reader).map_err(damaged)?), 4),
        // Planes, or the transformed pixels.
        ImageFormat::WebP => (Box::new(WebPDecoder::new(reader).map_err(damaged)?), 4),
        _ => return Err(ThumbnailError::NotAPicture),
    })
}

/// Whether a JPEG is progressive: then all its coefficients are kept until the last scan, two bytes for each of up to three
/// components.
fn is_progressive(file: &[u8]) -> bool {
    let mut at = 2;
    while let Some([0xff, marker, high, low]) = file.get(at..at + 4) {
        match marker {
            0xc2 | 0xc6 | 0xca | 0xce => return true,
            // Another kind of frame, or the picture itself.
            0xc0 | 0xc1 | 0xc3 | 0xc5 | 0xc7 | 0xc9 | 0xcb | 0xcd | 0xcf | 0xda => return false,
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
        }
    }
    // No frame was found: the dearer kind is assumed.
    true
}
