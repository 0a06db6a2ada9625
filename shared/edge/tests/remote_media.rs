//! Media of other homeservers: what is asked, what is passed on, what is told when it fails.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use futures::stream;
use ruma::server_name;
use tern_edge::remote_media::{Copied, Peers, Reply, copy};
use tern_media::{
    FileName,
    multipart::{Boundary, Described, closing, opening, redirection},
};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Outbound, Target, Transport, Unreachable,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::{
        DestinationCommand, Done,
        destination::MediaLease,
        frame,
        media::{FetchMedia, MediaRef, StoreMedia, Stored},
        policy::Standing,
    },
};
use tern_testkit::{
    Executor, TestWeb,
    network::{error_reply, reply},
};
use url::Url;

const TS: Millis = Millis(1_790_000_000_000);

type Answer = (u16, String, Vec<u8>);

/// Another homeserver, and where it keeps its media.
struct Other {
    web: TestWeb,
    answer: RefCell<Answer>,
    elsewhere: RefCell<Answer>,
    asked: RefCell<Vec<String>>,
    /// What the object of the server says instead of leave to copy.
    leases: RefCell<VecDeque<Result<MediaLease, MatrixError>>>,
    /// How copying ended, as the object was told.
    ended: RefCell<Vec<Option<u16>>>,
    length: Cell<Option<u64>>,
}

impl Other {
    fn answering(answer: Answer) -> Self {
        Self {
            web: TestWeb::of([]),
            answer: RefCell::new(answer),
            elsewhere: RefCell::new((404, String::new(), Vec::new())),
            asked: RefCell::default(),
            leases: RefCell::default(),
            ended: RefCell::default(),
            length: Cell::new(None),
        }
    }

    fn reply(&self, (status, content_type, body): Answer) -> Reply<Vec<u8>> {
        Reply { status, content_type: Some(content_type), length: self.length.get(), disposition: None, body }
    }

    fn copy(&self) -> Result<Copied, (u16, String)> {
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

impl Transport for Other {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        assert_eq!(*target, Target::Destination(server_name!("other.test").to_owned()));
        match frame::read::<DestinationCommand>(&frame).unwrap() {
            DestinationCommand::LeaseMedia(ask) => {
                let url = format!("https://hs.other.example:8448{}", ask.target);
                let granted = MediaLease::Granted { url, authorization: "signed".to_owned() };
                self.leases.borrow_mut().pop_front().unwrap_or(Ok(granted)).map_or_else(error_reply, reply)
            }
            DestinationCommand::EndMediaLease(ask) => {
                self.ended.borrow_mut().push(ask.failure.map(|failure| failure.status));
                reply(Done {})
            }
            other => Err(Unreachable(other.name().to_owned())),
        }
    }

    fn standing(&self) -> Standing {
        Standing::Good
    }
}

impl Outbound for Other {
    fn reach(&self) -> Reach {
        Reach::Public
    }

    async fn exchange(&self, _: &HttpRequest, _: &Bounds) -> Result<HttpAnswer, HttpError> {
        panic!("content is not held")
    }
}

impl Peers for Other {
    type Body = Vec<u8>;

    async fn get(&self, url: &Url, authorization: Option<&str>) -> Result<Reply<Vec<u8>>, HttpError> {
        self.asked.borrow_mut().push(format!("{} {url}", authorization.unwrap_or("plain")));
        let answer = if authorization.is_some() { &self.answer } else { &self.elsewhere };
        Ok(self.reply(answer.borrow().clone()))
    }

    async fn store(&self, ask: StoreMedia, body: Vec<u8>) -> Result<Stored, MatrixError> {
        let chunks: Vec<_> = body.chunks(7).map(|chunk| Ok(chunk.to_vec())).collect();
        self.web.media().store(&ask, "object", stream::iter(chunks)).await
    }
}

fn media() -> MediaRef {
    MediaRef { origin: server_name!("Other.test").to_owned(), media_id: "abc".to_owned() }
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
    assert_eq!(other.copy(), Ok(Copied::Here));
    assert_eq!(other.content(), Some(("image/png".to_owned(), b"content".to_vec())));
    let asked = ["signed https://hs.other.example:8448/_matrix/federation/v1/media/download/abc?timeout_ms=20000"];
    assert_eq!(*other.asked.borrow(), asked);
    assert_eq!(other.copy(), Ok(Copied::Here), "somebody else brought it meanwhile");
    assert_eq!(*other.ended.borrow(), [None, None]);
}

#[test]
fn what_is_no_name_of_a_server_is_not_asked() {
    let other = Other::answering(envelope(b"content"));
    let media = MediaRef { origin: "a".repeat(3_000).try_into().unwrap(), media_id: "abc".to_owned() };
    let copied = Executor::new().run(copy(&other, media, 1, 1_000, TS));
    assert_eq!(copied.map_err(|error| error.status), Err(400));
}

#[test]
fn one_at_a_time_asks_and_a_failure_is_everybodys() {
    let other = Other::answering(envelope(b"content"));
    let failed = MatrixError::new(502, "M_UNKNOWN", "?");
    other.leases.borrow_mut().extend([Ok(MediaLease::Held), Err(failed)]);
    assert_eq!(other.copy(), Ok(Copied::Underway));
    assert_eq!(other.copy(), Err((502, "M_UNKNOWN".to_owned())));
    assert_eq!((other.asked.borrow().len(), other.ended.borrow().len()), (0, 0));
    let private = MediaLease::Granted { url: "https://127.0.0.1/x".to_owned(), authorization: "signed".to_owned() };
    other.leases.borrow_mut().push_back(Ok(private));
    assert_eq!(other.copy(), Err((502, "M_UNKNOWN".to_owned())), "nothing that only this server can reach");
    assert_eq!((other.asked.borrow().len(), &*other.ended.borrow()), (0, &vec![Some(502)]));
}

#[test]
fn content_is_followed_to_the_public_internet_alone() {
    let other = Other::answering(moved("https://cdn.other.test.example/x"));
    *other.elsewhere.borrow_mut() = (200, "text/plain; charset=utf-8".to_owned(), b"far away".to_vec());
    assert_eq!(other.copy(), Ok(Copied::Here));
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
