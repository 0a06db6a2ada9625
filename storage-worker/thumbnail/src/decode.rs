//! From a measured picture to its pixels.

use image::{DynamicImage, ImageDecoder, Limits};

use crate::{MEMORY, ThumbnailError, measure::Source};

/// Pixels, with transparency where the picture can have any.
pub(crate) enum Pixels {
    /// Red, green, blue.
    Rgb(image::RgbImage),
    /// And transparency, not premultiplied.
    Rgba(image::RgbaImage),
}

/// Decodes the whole picture.
pub(crate) fn decode(source: Source<'_>) -> Result<Pixels, ThumbnailError> {
    let mut decoder = source.decoder;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    decoder.set_limits(limits).map_err(|_| ThumbnailError::TooLarge)?;
    let image = DynamicImage::from_decoder(decoder).map_err(|_| ThumbnailError::NotAPicture)?;
    Ok(match image {
        DynamicImage::ImageRgb8(image) => Pixels::Rgb(image),
        DynamicImage::ImageRgba8(image) => Pixels::Rgba(image),
        other if source.color.has_alpha() => Pixels::Rgba(other.into_rgba8()),
        other => Pixels::Rgb(other.into_rgb8()),
    })
}
