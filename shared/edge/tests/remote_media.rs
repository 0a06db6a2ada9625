//! Media of other homeservers: what is asked, what is passed on, what is told when it fails.

use std::cell::{Cell, RefCell};

use futures::stream;
use ruma::{ServerName, server_name};
use tern_edge::remote_media::{Peers, Reply, copy};
use tern_media::{
    FileName,
    multipart::{Boundary, Described, closing, opening, redirection},
};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    outbound::HttpError,
    wire::media::{FetchMedia, MediaRef, StoreMedia, Stored},
};
use tern_testkit::{Executor, TestWeb};
use url::Url;

const TS: Millis = Millis(1_790_000_000_000);

type Answer = (u16, String, Vec<u8>);

/// Another homeserver, and where it keeps its media.
struct Other {
    web: TestWeb,
    answer: RefCell<Answer>,
    elsewhere: RefCell<Answer>,
    asked: RefCell<Vec<String>>,
    length: Cell<Option<u64>>,
}

impl Other {
    fn answering(answer: Answer) -> Self {
        Self {
            web: TestWeb::of([]),
            answer: RefCell::new(answer),
            elsewhere: RefCell::new((404, String::new(), Vec::new())),
            asked: RefCell::default(),
            length: Cell::new(None),
        }
    }

    fn reply(&self, (status, content_type, body): Answer) -> Reply<Vec<u8>> {
        Reply { status, content_type: Some(content_type), length: self.length.get(), disposition: None, body }
    }

    fn copy(&self) -> Result<(), (u16, String)> {
        let copied = Executor::new().run(copy(self, media(), 20_000, 1_000, TS));
        copied.map_err(|error| (error.status, error.errcode.into_owned()))
    }

    fn content(&self) -> Option<(String, Vec<u8>)> {
        let ask = FetchMedia {
            media: media(),
            before: None,
            range: None,
            if_range: None,
            if_none_match: None,
            body: true,
            envelope: None,
            ts: TS,
        };
        let (known, body) = Executor::new().run(self.web.media().fetch(&ask)).ok()?;
        Some((known.content_type, body?))
    }
}

impl Peers for Other {
    type Body = Vec<u8>;

    async fn ask(&self, origin: &ServerName, path: &str) -> Result<Reply<Vec<u8>>, HttpError> {
        self.asked.borrow_mut().push(format!("{origin}{path}"));
        Ok(self.reply(self.answer.borrow().clone()))
    }

    async fn get(&self, url: &Url) -> Result<Reply<Vec<u8>>, HttpError> {
        self.asked.borrow_mut().push(url.to_string());
        Ok(self.reply(self.elsewhere.borrow().clone()))
    }

    async fn store(&self, ask: StoreMedia, body: Vec<u8>) -> Result<Stored, MatrixError> {
        let chunks: Vec<_> = body.chunks(7).map(|chunk| Ok(chunk.to_vec())).collect();
        self.web.media().store(&ask, "object", stream::iter(chunks)).await
    }
}

fn media() -> MediaRef {
    MediaRef { origin: server_name!("other.test").to_owned(), media_id: "abc".to_owned() }
}

fn boundary() -> Boundary {
    Boundary::random([5; 18])
}

fn envelope(content: &[u8]) -> Answer {
    let described = Described { content_type: "image/png".to_owned(), name: FileName::clean("a.png") };
    let body = [opening(&boundary(), &described).as_bytes(), content, closing(&boundary()).as_bytes()].concat();
    (200, boundary().content_type(), body)
}

fn moved(url: &str) -> Answer {
    (200, boundary().content_type(), redirection(&boundary(), url).into_bytes())
}

fn answer(status: u16, body: &[u8]) -> Answer {
    (status, "text/html".to_owned(), body.to_vec())
}

#[test]
fn a_copy_is_brought_and_served_from_here() {
    let other = Other::answering(envelope(b"content"));
    assert_eq!(other.copy(), Ok(()));
    assert_eq!(other.content(), Some(("image/png".to_owned(), b"content".to_vec())));
    assert_eq!(*other.asked.borrow(), ["other.test/_matrix/federation/v1/media/download/abc?timeout_ms=20000"]);
    assert_eq!(other.copy(), Ok(()), "somebody else brought it meanwhile");
}

#[test]
fn content_is_followed_to_the_public_internet_alone() {
    let other = Other::answering(moved("https://cdn.other.test.example/x"));
    *other.elsewhere.borrow_mut() = (200, "text/plain; charset=utf-8".to_owned(), b"far away".to_vec());
    assert_eq!(other.copy(), Ok(()));
    assert_eq!(other.content(), Some(("text/plain; charset=utf-8".to_owned(), b"far away".to_vec())));
    for url in ["https://127.0.0.1/", "http://cdn.example/", "file:///etc/passwd", "https://db.internal/", "//x", ""] {
        let other = Other::answering(moved(url));
        assert_eq!(other.copy(), Err((502, "M_UNKNOWN".to_owned())), "{url}");
        assert_eq!((other.asked.borrow().len(), other.content()), (1, None), "{url}");
    }
}

#[test]
fn a_failure_is_the_other_servers() {
    for (answer, expected) in [
        (answer(404, b""), (404, "M_NOT_FOUND")),
        (answer(504, b""), (504, "M_NOT_YET_UPLOADED")),
        (answer(500, b""), (502, "M_UNKNOWN")),
        (answer(302, b""), (502, "M_UNKNOWN")),
        (answer(200, b"<html>"), (502, "M_UNKNOWN")),
        (envelope(&[1; 1_001]), (502, "M_TOO_LARGE")),
        ((200, boundary().content_type(), envelope(b"torn").2.into_iter().take(150).collect()), (502, "M_UNKNOWN")),
    ] {
        let other = Other::answering(answer);
        assert_eq!(other.copy(), Err((expected.0, expected.1.to_owned())));
        assert_eq!(other.content(), None);
    }
    let other = Other::answering(envelope(b"short"));
    other.length.set(Some(1_001));
    assert_eq!(other.copy(), Err((502, "M_TOO_LARGE".to_owned())), "it is not even begun");
}
