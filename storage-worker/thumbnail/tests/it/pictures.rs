//! Pictures to make thumbnails of.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use tern_media::thumbnail::{Method, Size};

pub(crate) const FORMATS: [ImageFormat; 4] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP];

pub(crate) fn size(width: u32, height: u32, crop: bool) -> Size {
    Size { width, height, method: if crop { Method::Crop } else { Method::Scale } }
}

fn wave(at: f64) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
    let shade = (127.5 + 127.5 * at.sin()) as u8;
    shade
}

/// Soft shades, a hard edge, and a red mark in the upper left corner that tells how the picture lies.
pub(crate) fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        if u < 0.25 && v < 0.25 {
            return Rgb([255, 0, 0]);
        }
        let shade = if u + v > 1.2 { 0.6 } else { 1.0 };
        Rgb([wave(7.0 * u * shade), wave(9.0 * v), wave(5.0 * (u - v) * shade)])
    })
}

pub(crate) fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn photo(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    file(&DynamicImage::ImageRgb8(scene(width, height)), format)
}

/// Half of it can be seen through.
pub(crate) fn glass(width: u32, height: u32) -> Vec<u8> {
    let image = RgbaImage::from_fn(width, height, |x, _| Rgba([0, 128, 255, if x < width / 2 { 0 } else { 255 }]));
    file(&DynamicImage::ImageRgba8(image), ImageFormat::Png)
}

/// A JPEG that asks to be turned as the EXIF value `orientation` says.
pub(crate) fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff =
        [b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation], b"\0\0\0\0\0\0"].concat();
    let length = u16::try_from(tiff.len() + 8).unwrap().to_be_bytes();
    let segment = [&[0xff, 0xe1], length.as_slice(), b"Exif\0\0", &tiff].concat();
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}
