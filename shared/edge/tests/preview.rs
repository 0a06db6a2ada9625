//! Previews of addresses: what is asked, what is shown, what is kept.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::future::{Ready, pending, ready};

use image::{DynamicImage, ImageFormat};
use ruma::server_name;
use serde_json::{Value, json};
use tern_edge::preview::preview;
use tern_model::MatrixError;
use tern_testkit::{Executor, TestWeb, web::Page};

const PAGE: &str = "https://example.org/page";
const PICTURE: &str = "https://cdn.example.org/a.png";

fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::new_rgb8(30, 20).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn site() -> TestWeb {
    let html = format!("<title>Cake</title><meta property=og:image content={PICTURE}>");
    TestWeb::of([
        (PAGE, Page::of("text/html", html)),
        (PICTURE, Page::of("text/html", picture())),
        ("https://example.org/latin", Page::of("text/html; charset=iso-8859-1", *b"<title>gr\xfc\xdfe</title>")),
        ("https://example.org/moved", Page::redirect(PAGE)),
        ("https://example.org/inwards", Page::redirect("http://169.254.169.254/latest/meta-data/")),
        ("https://example.org/file", Page::redirect("file:///etc/passwd")),
        (
            "https://example.org/private-picture",
            Page::of("text/html", "<title>t</title><meta property=og:image content=http://127.0.0.1/x>"),
        ),
        ("https://example.org/a.png", Page::of("image/png", picture())),
        ("https://example.org/svg", Page::of("image/svg+xml", "<svg/>")),
        ("https://example.org/gone", Page { status: 404, ..Page::of("text/html", "<title>Gone</title>") }),
        ("https://example.org/pdf", Page::of("application/pdf", "%PDF")),
    ])
}

fn shown(web: &TestWeb, url: &str) -> Result<Value, MatrixError> {
    let preview = Executor::new().run(preview(web, server_name!("tern.test"), url, pending()));
    preview.map(|preview| preview.read().unwrap())
}

fn code(web: &TestWeb, url: &str) -> (u16, String) {
    let error = shown(web, url).unwrap_err();
    (error.status, error.errcode.into_owned())
}

#[test]
fn a_page_is_shown_with_its_picture_and_asked_once() {
    let web = site();
    let mut first = shown(&web, PAGE).unwrap();
    assert_eq!(shown(&web, &format!("{PAGE}#part")).unwrap(), first);
    assert_eq!(web.addresses(), [PAGE, PICTURE]);
    let uri = first.as_object_mut().unwrap().remove("og:image").unwrap();
    assert!(uri.as_str().unwrap().starts_with("mxc://tern.test/"));
    assert_eq!(
        first,
        json!({
            "og:title": "Cake", "og:image:type": "image/png", "og:image:width": 30, "og:image:height": 20,
            "matrix:image:size": picture().len(),
        })
    );
    assert_eq!(web.bucket.keys().len(), 1);
}

#[test]
fn only_the_public_internet_is_asked() {
    let web = site();
    for url in
        ["http://127.0.0.1/", "http://[::1]:8008/", "http://localhost/", "https://db.internal/", "file:///etc/passwd"]
    {
        assert_eq!(code(&web, url), (403, "M_FORBIDDEN".to_owned()), "{url}");
    }
    assert_eq!((web.addresses().len(), web.cached.get()), (0, (0, 0)));
    for url in ["https://example.org/inwards", "https://example.org/file"] {
        assert_eq!(code(&web, url), (403, "M_FORBIDDEN".to_owned()), "{url}");
        assert_eq!(code(&web, url), (403, "M_FORBIDDEN".to_owned()), "{url}, remembered");
    }
    assert_eq!(web.addresses(), ["https://example.org/inwards", "https://example.org/file"]);
    let inwards = web.cache.borrow().values().all(|(_, seconds)| *seconds <= 600);
    assert!(inwards, "a failure is not remembered for long");
    assert_eq!(shown(&web, "https://example.org/private-picture"), Ok(json!({ "og:title": "t" })));
    assert_eq!(web.addresses().len(), 3);
}

#[test]
fn what_answers_is_taken_for_what_it_is() {
    let web = site();
    assert_eq!(shown(&web, "https://example.org/latin"), Ok(json!({ "og:title": "grüße" })));
    assert_eq!(shown(&web, "https://example.org/moved").unwrap()["og:title"], "Cake");
    assert_eq!(shown(&web, "https://example.org/a.png").unwrap()["og:image:width"], 30);
    for nothing in ["https://example.org/svg", "https://example.org/pdf"] {
        assert_eq!(shown(&web, nothing), Ok(json!({})), "{nothing}");
    }
    for failure in ["https://example.org/gone", "https://nowhere.example.org/"] {
        assert_eq!(code(&web, failure), (502, "M_UNKNOWN".to_owned()), "{failure}");
    }
    for url in ["", "page", "//example.org/", &format!("https://example.org/{}", "x".repeat(2_000))] {
        assert_eq!(code(&web, url), (400, "M_INVALID_PARAM".to_owned()), "{url}");
    }
}

#[test]
fn whoever_waits_is_answered_in_time_and_the_next_at_once() {
    let web = site();
    let late: Ready<()> = ready(());
    let answer = Executor::new().run(preview(&web, server_name!("tern.test"), PAGE, late));
    assert_eq!(answer.unwrap_err().status, 504);
    assert_eq!(code(&web, PAGE), (504, "M_UNKNOWN".to_owned()));
    web.cache.borrow_mut().clear();
    assert!(shown(&web, PAGE).is_ok());
}
