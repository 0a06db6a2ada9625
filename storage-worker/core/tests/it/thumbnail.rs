//! Thumbnails as they are kept in the bucket.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tern_model::{MatrixError, Millis};
use tern_ports::wire::media::{FetchThumbnail, Fetched, Follows, Purge, PurgeMedia, StoreMedia};
use tern_storage::media::Objects;
use tern_testkit::{Executor, bucket::Operations};

use crate::media::{Scene, get, named, put};

fn wanted(media_id: &str, width: u32, height: u32, crop: bool) -> FetchThumbnail {
    FetchThumbnail { original: get(media_id), width, height, crop, animated: false, webp: false }
}

fn ask(scene: &Scene, ask: &FetchThumbnail) -> Result<(Fetched, Option<Vec<u8>>), MatrixError> {
    Executor::new().run(scene.media().thumbnail(ask))
}

fn picture(width: u32, height: u32) -> Vec<u8> {
    let shade = |at: u32| u8::try_from(at % 256).unwrap_or(0);
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([shade(x), shade(y), shade(x * y / 64)]));
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(image).write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

fn dimensions(file: &[u8]) -> (u32, u32) {
    // The frame header of a JPEG: marker, length, precision, height, width.
    let at = file.windows(2).position(|pair| pair[0] == 0xff && (pair[1] == 0xc0 || pair[1] == 0xc2)).unwrap();
    let side = |from: usize| u32::from(u16::from_be_bytes([file[from], file[from + 1]]));
    (side(at + 7), side(at + 5))
}

#[test]
fn a_thumbnail_is_made_once() {
    let scene = Scene::new();
    scene.store(&put("a"), &picture(1000, 500)).unwrap();
    scene.bucket.take_operations();
    let (known, body) = ask(&scene, &wanted("a", 300, 200, false)).unwrap();
    assert_eq!((known.content_type.as_str(), dimensions(&body.unwrap())), ("image/jpeg", (480, 240)));
    assert_eq!(scene.bucket.take_operations(), Operations { a: 1, b: 3 }, "looked for, read, put, opened");
    let (again, body) = ask(&scene, &wanted("a", 310, 210, false)).unwrap();
    assert_eq!((again.size, &again), (body.unwrap().len() as u64, &known), "the same standard size");
    assert_eq!(scene.bucket.take_operations(), Operations { a: 0, b: 1 });
    let mut same = wanted("a", 320, 240, false);
    same.original.if_none_match = Some(known.tag);
    assert_eq!(ask(&scene, &same).map(|(known, body)| (known.follows, body)), Ok((Follows::Unchanged, None)));
    assert_eq!(scene.bucket.take_operations(), Operations::default());
    let (_, body) = ask(&scene, &wanted("a", 96, 96, true)).unwrap();
    assert_eq!(dimensions(&body.unwrap()), (96, 96));
}

#[test]
fn what_is_not_larger_or_too_large_a_wish_is_the_original() {
    let scene = Scene::new();
    let small = picture(100, 80);
    scene.store(&put("a"), &small).unwrap();
    for (width, height, operations) in [
        (320, 240, Operations { a: 1, b: 4 }),
        (320, 240, Operations { a: 0, b: 2 }),
        (4000, 3000, Operations { a: 1, b: 4 }),
        (4000, 3000, Operations { a: 0, b: 2 }),
    ] {
        scene.bucket.take_operations();
        let (known, body) = ask(&scene, &wanted("a", width, height, false)).unwrap();
        assert_eq!((known.content_type.as_str(), body.as_ref()), ("image/png", Some(&small)));
        assert_eq!(scene.bucket.take_operations(), operations);
    }
}

#[test]
fn a_wide_or_tall_picture_has_the_smallest_thumbnail_that_covers_the_wish() {
    let scene = Scene::new();
    scene.store(&put("w"), &picture(2000, 250)).unwrap();
    scene.store(&put("t"), &picture(250, 2000)).unwrap();
    for (id, width, height, sides) in [
        ("w", 800, 200, (1920, 240)),
        // Wider than any standard size.
        ("w", 1200, 100, (1920, 240)),
        // Higher than the picture is.
        ("w", 800, 600, (800, 100)),
        ("w", 320, 300, (320, 40)),
        ("t", 800, 600, (75, 600)),
        ("t", 700, 300, (60, 480)),
    ] {
        let (known, body) = ask(&scene, &wanted(id, width, height, false)).unwrap();
        assert_eq!((known.content_type.as_str(), dimensions(&body.unwrap())), ("image/jpeg", sides), "{id} {width}");
    }
    scene.bucket.take_operations();
    let (known, _) = ask(&scene, &wanted("w", 800, 200, false)).unwrap();
    assert_eq!(scene.bucket.take_operations(), Operations { a: 0, b: 2 }, "its shape, the thumbnail");
    let mut same = wanted("w", 800, 200, false);
    same.original.if_none_match = Some(known.tag);
    assert_eq!(ask(&scene, &same).map(|(known, body)| (known.follows, body)), Ok((Follows::Unchanged, None)));
    assert_eq!(scene.bucket.take_operations(), Operations { a: 0, b: 1 });
}

#[test]
fn what_was_found_too_small_before_shapes_were_kept_is_looked_at_again() {
    let scene = Scene::new();
    scene.store(&put("w"), &picture(2000, 250)).unwrap();
    let object = scene.bucket.keys().remove(0);
    let (bucket, key) = (&scene.bucket, format!("{object}/800x600-scale"));
    Executor::new().run(Objects::put(&bucket, &key, Vec::new(), "x-tern/small")).unwrap();
    let (_, body) = ask(&scene, &wanted("w", 800, 600, false)).unwrap();
    assert_eq!(dimensions(&body.unwrap()), (800, 100));
}

/// Two frames of one pixel.
const MOVING: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\0\xff\
    \x21\xf9\x04\0\x0a\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\
    \x21\xf9\x04\0\x0a\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0\x3b";

#[test]
fn what_moves_stands_still_unless_it_may_move() {
    let scene = Scene::new();
    scene.store(&StoreMedia { content_type: "image/gif".to_owned(), ..put("a") }, MOVING).unwrap();
    for (width, height) in [(32, 32), (320, 240), (4000, 3000)] {
        let still = wanted("a", width, height, false);
        let (known, body) = ask(&scene, &still).unwrap();
        assert_eq!((known.content_type.as_str(), dimensions(&body.unwrap())), ("image/jpeg", (1, 1)), "{width}");
        let (known, body) = ask(&scene, &FetchThumbnail { animated: true, ..still }).unwrap();
        assert_eq!((known.content_type.as_str(), body.as_deref()), ("image/gif", Some(MOVING)), "{width}");
    }
}

#[test]
fn a_thumbnail_is_of_a_type_that_thumbnails_have() {
    let scene = Scene::new();
    let typed = |content_type: &str| StoreMedia { content_type: content_type.to_owned(), ..put("x") };
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>";
    let code =
        |scene: &Scene, width: u32| ask(scene, &wanted("x", width, 100, false)).map(|(known, _)| known.content_type);
    for (content_type, content) in
        [("image/svg+xml", svg.to_vec()), ("image/png", svg.to_vec()), ("image/heic", picture(10, 10))]
    {
        scene.store(&typed(content_type), &content).unwrap();
        for width in [100, 4000] {
            let error_of = code(&scene, width).map_err(|error| (error.status, error.errcode.into_owned()));
            assert_eq!(error_of, Err((400, "M_UNKNOWN".to_owned())), "{content_type} {width}");
        }
        scene.worker.ask(PurgeMedia { which: Purge::One(named("x")) });
    }
    scene.store(&typed("IMAGE/PNG; a=b"), &picture(500, 500)).unwrap();
    assert_eq!(code(&scene, 100).as_deref(), Ok("image/jpeg"));
}

#[test]
fn what_is_no_picture_is_refused_and_not_read_again() {
    let scene = Scene::new();
    let code =
        |id: &str| ask(&scene, &wanted(id, 32, 32, true)).map(|_| ()).map_err(|error| (error.status, error.errcode));
    scene.store(&put("a"), b"<html>").unwrap();
    let mut text = put("b");
    text.content_type = "text/plain".to_owned();
    scene.store(&text, b"text").unwrap();
    scene.store(&put("c"), &vec![0x89; tern_thumbnail::MAX_INPUT + 1]).unwrap();
    for (id, error_of, operations) in [
        ("a", (400, "M_UNKNOWN"), Operations { a: 1, b: 3 }),
        ("a", (400, "M_UNKNOWN"), Operations { a: 0, b: 1 }),
        ("b", (400, "M_UNKNOWN"), Operations::default()),
        ("c", (413, "M_TOO_LARGE"), Operations { a: 1, b: 2 }),
        ("d", (404, "M_NOT_FOUND"), Operations::default()),
    ] {
        scene.bucket.take_operations();
        assert_eq!(code(id), Err((error_of.0, error_of.1.into())), "{id}");
        assert_eq!(scene.bucket.take_operations(), operations, "{id}");
    }
}

#[test]
fn thumbnails_go_with_their_picture() {
    let scene = Scene::new();
    scene.store(&put("a"), &picture(1000, 500)).unwrap();
    ask(&scene, &wanted("a", 32, 32, true)).unwrap();
    ask(&scene, &FetchThumbnail { webp: true, ..wanted("a", 32, 32, true) }).unwrap();
    assert_eq!(scene.bucket.keys().len(), 3);
    scene.worker.ask(PurgeMedia { which: Purge::One(named("a")) });
    assert_eq!(ask(&scene, &wanted("a", 32, 32, true)).unwrap_err().status, 404);
    let hour = 60 * 60 * 1000;
    scene.sweep(get("a").ts);
    scene.sweep(Millis(get("a").ts.0 + hour));
    assert_eq!(scene.bucket.keys(), [""; 0]);
}
