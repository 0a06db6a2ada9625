//! Files that are damaged, lie about their size, or are something else.

use image::ImageFormat;
use proptest::prelude::*;
use tern_media::thumbnail::Size;
use tern_thumbnail::{MAX_INPUT, ThumbnailError, look, make};

use crate::pictures::{FORMATS, glass, photo, size, turned};

fn small(file: &[u8]) -> Result<(), ThumbnailError> {
    let _look = look(file);
    let _still = make(file, Size::WHOLE, true);
    make(file, size(32, 32, true), true).map(|_| ())
}

fn lossy(webp: bool) -> Vec<u8> {
    make(&photo(640, 480, ImageFormat::Png), size(90, 70, false), webp).unwrap().bytes
}

/// Two frames of one pixel.
const MOVING: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\0\xff\
    \x21\xf9\x04\0\x0a\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\
    \x21\xf9\x04\0\x0a\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0\x3b";

const SCRIPT: &[u8] = b"--><html><script>alert(1)</script><svg onload=alert(1)>";

#[test]
fn what_is_also_a_page_becomes_a_picture_alone() {
    let comment = |jpeg: &[u8]| {
        let length = u16::try_from(SCRIPT.len() + 2).unwrap().to_be_bytes();
        [&jpeg[..2], &[0xff, 0xfe], &length, SCRIPT, &jpeg[2..]].concat()
    };
    let mut files: Vec<_> =
        FORMATS.iter().map(|format| [photo(200, 150, *format).as_slice(), SCRIPT].concat()).collect();
    files.push(comment(&photo(200, 150, ImageFormat::Jpeg)));
    for (at, file) in files.iter().enumerate() {
        assert!(file.windows(8).any(|part| part == b"<script>"));
        for webp in [false, true] {
            let made = make(file, size(96, 96, true), webp).unwrap();
            assert!(!made.bytes.windows(8).any(|part| part == b"<script>"), "{at}");
        }
    }
}

#[test]
fn a_picture_is_known_by_its_header() {
    for (format, content_type) in FORMATS.iter().zip(["image/jpeg", "image/png", "image/gif", "image/webp"]) {
        let file = photo(200, 150, *format);
        let picture = look(&file).unwrap();
        assert_eq!((picture.content_type, picture.width, picture.height), (content_type, 200, 150));
        assert_eq!(make(&file, Size::WHOLE, true), Err(ThumbnailError::Small), "it does not move");
    }
    let turned = look(&turned(&photo(200, 150, ImageFormat::Jpeg), 6)).unwrap();
    assert_eq!((turned.width, turned.height), (150, 200));
    assert_eq!(look(&bomb(60_000, 60_000)), Err(ThumbnailError::TooLarge));
    assert_eq!(look(SCRIPT), Err(ThumbnailError::NotAPicture));
    assert!(make(MOVING, Size::WHOLE, false).is_ok(), "it moves");
}

/// A PNG of that many pixels whose data is one row.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut png = photo(64, 1, ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = checksum(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    for (width, height) in [(60_000, 60_000), (1 << 30, 8), (8000, 8000)] {
        assert_eq!(small(&bomb(width, height)), Err(ThumbnailError::TooLarge), "{width}x{height}");
    }
    let mut jpeg = photo(64, 64, ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(small(&jpeg), Err(ThumbnailError::TooLarge));
    let mut gif = photo(64, 64, ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert_eq!(small(&gif), Err(ThumbnailError::TooLarge));
    assert_eq!(small(&vec![0xff; MAX_INPUT + 1]), Err(ThumbnailError::TooLarge));
}

#[test]
fn what_is_no_picture_is_refused() {
    let pages: [&[u8]; 7] = [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe1\0\x02",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
        b"RIFF\xff\xff\xff\xffWEBPVP8X",
        b"<html><script>alert(1)</script></html>",
    ];
    for page in pages {
        assert_eq!(small(page), Err(ThumbnailError::NotAPicture), "{page:?}");
    }
    // Read as a GIF, this script has the size of a city.
    assert_eq!(small(b"GIF89a/*<script>alert(1)</script>*/=1;"), Err(ThumbnailError::TooLarge));
}

#[test]
fn a_file_that_breaks_off_does_no_harm() {
    for format in FORMATS {
        let file = photo(200, 150, format);
        for end in (0..file.len()).step_by(file.len() / 97 + 1) {
            let _outcome = small(&file[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damaged in a few places, above all in the headers: whatever comes of it, no panic and no more memory.
    #[test]
    fn a_damaged_file_does_no_harm(
        kind in 0_usize..9,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = match kind {
            4 => glass(90, 70),
            5 => turned(&photo(90, 70, ImageFormat::Jpeg), 6),
            // Lossy WebP and a progressive JPEG, as this crate writes them.
            6 => lossy(true),
            7 => lossy(false),
            8 => MOVING.to_vec(),
            kind => photo(90, 70, FORMATS[kind]),
        };
        for (at, byte, in_header) in damage {
            let end = if in_header { file.len().min(120) } else { file.len() };
            file[at.index(end)] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let _outcome = small(&file);
    }

    #[test]
    fn noise_behind_a_signature_does_no_harm(kind in 0_usize..4, noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let signatures: [&[u8]; 4] = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"GIF89a", b"RIFF\0\x10\0\0WEBPVP8 "];
        let _outcome = small(&[signatures[kind], &noise].concat());
    }
}
