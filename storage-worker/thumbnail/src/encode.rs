//! From pixels to a file.

use image::{ExtendedColorType, ImageEncoder, RgbImage, RgbaImage, codecs::png};
use jpeg_encoder::{ColorType, SamplingFactor};

use crate::{Format, Thumbnail, ThumbnailError, decode::Pixels, webp};

/// JPEG quality of libjpeg's scale.
const JPEG_QUALITY: u8 = 80;

/// Writes the smallest file that the client takes.
pub(crate) fn encode(pixels: Pixels, takes_webp: bool) -> Result<Thumbnail, ThumbnailError> {
    let pixels = without_needless_alpha(pixels);
    let plain = match &pixels {
        Pixels::Rgb(image) => Thumbnail { bytes: jpeg(image)?, format: Format::Jpeg },
        Pixels::Rgba(image) => Thumbnail { bytes: png(image)?, format: Format::Png },
    };
    let webp = if takes_webp { webp::encode(&pixels) } else { None };
    Ok(match webp {
        Some(bytes) if bytes.len() < plain.bytes.len() => Thumbnail { bytes, format: Format::Webp },
        _ => plain,
    })
}

/// A picture that could be transparent, but is nowhere, is a plain one.
fn without_needless_alpha(pixels: Pixels) -> Pixels {
    match pixels {
        Pixels::Rgba(image) if image.pixels().all(|pixel| pixel.0[3] == 255) => {
            Pixels::Rgb(image::DynamicImage::ImageRgba8(image).into_rgb8())
        }
        other => other,
    }
}

fn jpeg(image: &RgbImage) -> Result<Vec<u8>, ThumbnailError> {
    let side = |side: u32| u16::try_from(side).map_err(|_| ThumbnailError::TooLarge);
    let (width, height) = (side(image.width())?, side(image.height())?);
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    encoder.encode(image.as_raw(), width, height, ColorType::Rgb).map_err(|_| ThumbnailError::NotAPicture)?;
    Ok(bytes)
}

fn png(image: &RgbaImage) -> Result<Vec<u8>, ThumbnailError> {
    let mut bytes = Vec::new();
    let encoder = png::PngEncoder::new_with_quality(&mut bytes, png::CompressionType::Best, png::FilterType::Adaptive);
    encoder
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgba8)
        .map_err(|_| ThumbnailError::NotAPicture)?;
    Ok(bytes)
}
