//! From many pixels to few.

use fast_image_resize::{
    FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::{U8x3, U8x4},
};
use image::{DynamicImage, RgbImage, RgbaImage, metadata::Orientation};
use tern_media::thumbnail::Plan;

use crate::{ThumbnailError, decode::Pixels};

/// Carries out `plan`.
pub(crate) fn shrink(pixels: Pixels, plan: Plan) -> Result<Pixels, ThumbnailError> {
    let (width, height) = (plan.width, plan.height);
    let small = match pixels {
        Pixels::Rgb(image) => {
            let bytes = resize::<U8x3>(image.width(), image.height(), image.as_raw(), plan);
            bytes.and_then(|bytes| RgbImage::from_raw(width, height, bytes)).map(Pixels::Rgb)
        }
        Pixels::Rgba(image) => {
            let bytes = resize::<U8x4>(image.width(), image.height(), image.as_raw(), plan);
            bytes.and_then(|bytes| RgbaImage::from_raw(width, height, bytes)).map(Pixels::Rgba)
        }
    };
    small.ok_or(ThumbnailError::NotAPicture)
}

/// Turns and mirrors as the metadata asked for.
pub(crate) fn orient(pixels: Pixels, orientation: Orientation) -> Pixels {
    let mut image = match pixels {
        Pixels::Rgb(image) => DynamicImage::ImageRgb8(image),
        Pixels::Rgba(image) => DynamicImage::ImageRgba8(image),
    };
    image.apply_orientation(orientation);
    match image {
        DynamicImage::ImageRgba8(image) => Pixels::Rgba(image),
        other => Pixels::Rgb(other.into_rgb8()),
    }
}

fn resize<P: PixelTrait<Component = u8>>(width: u32, height: u32, bytes: &[u8], plan: Plan) -> Option<Vec<u8>> {
    let source = TypedImageRef::<P>::from_buffer(width, height, bytes).ok()?;
    let mut small = TypedImage::<P>::new(plan.width, plan.height);
    let options = ResizeOptions::new()
        .crop(plan.left, plan.top, plan.cut_w, plan.cut_h)
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize_typed(&source, &mut small, &options).ok()?;
    Some(P::components(small.pixels()).to_vec())
}
