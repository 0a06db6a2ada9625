//! What a thumbnail looks like.

use image::{DynamicImage, GenericImageView, ImageFormat, RgbImage, imageops::FilterType};
use tern_thumbnail::{Format, Thumbnail, ThumbnailError, make};

use crate::pictures::{FORMATS, file, glass, photo, scene, size, turned};

fn open(thumbnail: &Thumbnail) -> DynamicImage {
    image::load_from_memory(&thumbnail.bytes).unwrap()
}

/// Mean structural similarity of the brightness in windows of eight by eight pixels; 1 is the same.
fn similarity(one: &RgbImage, other: &RgbImage) -> f64 {
    let bright = |image: &RgbImage, x: u32, y: u32| {
        let [red, green, blue] = image.get_pixel(x, y).0.map(f64::from);
        0.299 * red + 0.587 * green + 0.114 * blue
    };
    let (mut total, mut count) = (0.0, 0.0);
    for top in (0..one.height() - 7).step_by(4) {
        for left in (0..one.width() - 7).step_by(4) {
            let pairs: Vec<_> = (0..64)
                .map(|at| (left + at % 8, top + at / 8))
                .map(|(x, y)| (bright(one, x, y), bright(other, x, y)))
                .collect();
            let mean = |value: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(value).sum::<f64>() / 64.0;
            let (ours, theirs) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
            let spread = mean(&|pair| (pair.0 - ours).powi(2)) + mean(&|pair| (pair.1 - theirs).powi(2));
            let both = mean(&|pair| (pair.0 - ours) * (pair.1 - theirs));
            let brightness = (2.0 * ours * theirs + 6.5) / (ours * ours + theirs * theirs + 6.5);
            total += brightness * (2.0 * both + 58.5) / (spread + 58.5);
            count += 1.0;
        }
    }
    total / count
}

#[test]
fn a_thumbnail_looks_like_a_careful_reduction() {
    let picture = scene(1600, 900);
    for (wanted, width, height) in [(size(320, 240, false), 427, 240), (size(800, 600, false), 1067, 600)] {
        let careful = image::imageops::resize(&picture, width, height, FilterType::CatmullRom);
        for format in FORMATS {
            let file = photo(1600, 900, format);
            for webp in [false, true] {
                let made = open(&make(&file, wanted, webp).unwrap());
                assert_eq!(made.dimensions(), (width, height));
                let alike = similarity(&made.into_rgb8(), &careful);
                // A GIF has 256 colours.
                let least = if format == ImageFormat::Gif { 0.85 } else { 0.97 };
                assert!(alike > least, "{format:?} {width} webp {webp}: {alike}");
            }
        }
    }
}

#[test]
fn the_middle_is_cut_out() {
    let made = open(&make(&photo(900, 300, ImageFormat::Png), size(96, 96, true), false).unwrap()).into_rgb8();
    let middle = image::imageops::crop_imm(&scene(900, 300), 300, 0, 300, 300).to_image();
    let careful = image::imageops::resize(&middle, 96, 96, FilterType::CatmullRom);
    assert!(similarity(&made, &careful) > 0.96);
}

#[test]
fn a_turned_picture_stands_upright_and_says_so_no_more() {
    let jpeg = photo(800, 400, ImageFormat::Jpeg);
    // Where the red mark of the upper left corner is seen: EXIF values 1 to 8.
    for (value, right, below) in
        [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 0, 1), (5, 0, 0), (6, 1, 0), (7, 1, 1), (8, 0, 1)]
    {
        let made = make(&turned(&jpeg, value), size(32, 32, true), false).unwrap();
        assert!(!made.bytes.windows(4).any(|four| four == b"Exif"));
        let upright = make(&turned(&jpeg, value), size(200, 150, false), false).unwrap();
        let upright = open(&upright).into_rgb8();
        let wide = upright.width() > upright.height();
        assert_eq!(wide, value < 5, "value {value}");
        let at = |side: u32, far: u32| if far == 1 { side - side / 8 } else { side / 8 };
        let mark = upright.get_pixel(at(upright.width(), right), at(upright.height(), below));
        assert!(mark.0[0] > 200 && mark.0[1] < 60, "value {value}: {mark:?}");
    }
}

#[test]
fn what_can_be_seen_through_stays_so() {
    for webp in [false, true] {
        let made = make(&glass(640, 640), size(96, 96, true), webp).unwrap();
        assert_ne!(made.format, Format::Jpeg);
        let image = open(&made).into_rgba8();
        assert_eq!((image.get_pixel(10, 50).0[3], image.get_pixel(90, 50).0[3]), (0, 255));
    }
}

#[test]
fn a_picture_without_holes_is_sent_as_one() {
    let opaque = DynamicImage::ImageRgba8(DynamicImage::ImageRgb8(scene(640, 480)).into_rgba8());
    let opaque = file(&opaque, ImageFormat::Png);
    assert_eq!(make(&opaque, size(320, 240, false), false).unwrap().format, Format::Jpeg);
}

#[test]
fn webp_is_sent_only_where_it_is_taken_and_smaller() {
    let file = photo(1600, 1200, ImageFormat::Jpeg);
    let (plain, webp) =
        (make(&file, size(320, 240, false), false).unwrap(), make(&file, size(320, 240, false), true).unwrap());
    assert_eq!((plain.format, webp.format), (Format::Jpeg, Format::Webp));
    assert!(webp.bytes.len() < plain.bytes.len());
}

#[test]
fn what_is_not_larger_is_left_alone() {
    for format in FORMATS {
        assert_eq!(make(&photo(96, 200, format), size(96, 96, true), false), Err(ThumbnailError::Small));
    }
}
