//! Signed requests to the other server.

use serde_json::json;
use tern_federation::{
    request::{SignedRequest, content},
    signature::PrivateKey,
    x_matrix,
};
use tern_model::{BoundedJson, MatrixError, RawJson};
use tern_ports::{
    outbound::{HttpError, HttpMethod, HttpRequest},
    wire::{
        destination::{RemoteAnswer, SendRequest},
        frame,
    },
};
use tern_testkit::web::Page;

use crate::support::Scene;

const SERVER: &str = "a.org:8448";

fn request(target: &str) -> SendRequest {
    SendRequest {
        method: HttpMethod::Get,
        target: target.try_into().unwrap(),
        body: None,
        timeout_ms: 10_000,
        max_bytes: 1_000,
        background: false,
    }
}

fn put(target: &str, body: &str) -> SendRequest {
    let body = BoundedJson::new(RawJson::parse(body.to_owned()).unwrap()).unwrap();
    SendRequest { method: HttpMethod::Put, body: Some(body), ..request(target) }
}

impl Scene {
    fn send(&self, request: SendRequest) -> Result<RemoteAnswer, MatrixError> {
        let reply = self.host.executor.run(self.actor.handle(request.into()));
        frame::read_reply(&reply)
    }

    /// Whether this server has signed a request as it left.
    fn is_signed(&self, request: &HttpRequest) -> bool {
        let header = request.headers.iter().find(|(name, _)| name == "authorization").unwrap();
        let signature = x_matrix::read(&header.1).unwrap().remove(0);
        let key = PrivateKey::new(&self.config.signing_key_id, &self.config.signing_key).unwrap();
        let content = request.body.as_ref().and_then(|body| content(body).unwrap());
        let target = request.url.as_str().strip_prefix("https://a.org:8448").unwrap();
        let signed = SignedRequest {
            method: request.method.name(),
            target,
            origin: "tern.test",
            destination: SERVER,
            content: content.as_deref(),
        };
        signature.destination.as_deref() == Some(SERVER) && signed.is_signed_by(&key.public(), &signature.signature)
    }
}

fn code(answer: Result<RemoteAnswer, MatrixError>) -> (u16, String) {
    answer.map_or_else(|error| (error.status, error.errcode.into_owned()), |answer| (answer.status, String::new()))
}

#[expect(clippy::unnecessary_wraps, reason = "what a peer answers")]
fn says(status: u16, body: &str) -> Option<Result<Page, HttpError>> {
    Some(Ok(Page { status, ..Page::of("application/json", body) }))
}

#[test]
fn a_request_is_signed_as_it_leaves_and_answered_as_it_was() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    scene.peer(|_| says(403, r#" {"errcode": "M_FORBIDDEN"}"#));
    let answer =
        scene.send(put("/_matrix/federation/v1/send/%21a%3Ab?x='y z'", r#"{"b": 1.0, "a": [1e20] }"#)).unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(answer.body.unwrap().text(), r#"{"errcode": "M_FORBIDDEN"}"#);
    let sent = scene.requests().remove(0);
    assert!(scene.is_signed(&sent), "{sent:?}");
    assert_eq!(sent.method, HttpMethod::Put);
    assert_eq!(sent.body.as_deref(), Some(br#"{"a":[1e20],"b":1.0}"#.as_slice()), "canonical, with numbers as written");
    scene.send(request("/_matrix/federation/v1/version")).unwrap();
    let sent = scene.requests().remove(0);
    assert!(scene.is_signed(&sent) && sent.method == HttpMethod::Get && sent.body.is_none());
}

#[test]
fn what_is_no_target_of_another_server_is_not_signed() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    scene.peer(|_| says(200, "{}"));
    for target in
        ["", "/", "x", "@b.org/_matrix/a", ".b.org/_matrix/a", "/_matrix/../admin", "/_matrix/a#b", "/_MATRIX/a"]
    {
        assert_eq!(code(scene.send(request(target))), (400, "M_INVALID_PARAM".to_owned()), "{target}");
    }
    assert_eq!(code(scene.send(put("/_matrix/a", "[]"))), (400, "M_INVALID_PARAM".to_owned()));
    assert!(scene.asked().is_empty());
}

#[test]
fn a_connection_that_fails_is_tried_once_more_and_a_late_one_is_not() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    scene.peer(|_| Some(Err(HttpError::Unreachable("reset".to_owned()))));
    assert_eq!(code(scene.send(request("/_matrix/a"))), (502, "M_UNREACHABLE".to_owned()));
    assert_eq!(scene.asked().len(), 2);
    scene.peer(|_| Some(Err(HttpError::Late)));
    assert_eq!(code(scene.send(request("/_matrix/a"))), (504, "M_UNREACHABLE".to_owned()));
    assert_eq!(scene.asked().len(), 1);
    scene.peer(|_| Some(Err(HttpError::TooLarge)));
    assert_eq!(code(scene.send(request("/_matrix/a"))), (502, "M_TOO_LARGE".to_owned()));
    assert_eq!(scene.asked().len(), 1);
}

#[test]
fn a_server_that_fails_is_asked_by_those_who_wait_and_by_nobody_else() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    let background = || SendRequest { background: true, ..request("/_matrix/a") };
    for (status, body, headers) in [(500, "{}", None), (404, "<html>", None), (429, "{}", Some("30"))] {
        let retry = headers.map(|seconds: &str| ("retry-after", seconds.to_owned()));
        scene.peer(move |_| Some(Ok(Page { status, headers: retry.clone().into_iter().collect(), body: body.into() })));
        assert_eq!(scene.send(background()).unwrap().status, status);
        assert_eq!(code(scene.send(background())), (502, "M_UNREACHABLE".to_owned()), "{status}");
        assert_eq!(scene.asked().len(), 1, "{status}");
        scene.peer(|_| says(404, "{}"));
        assert_eq!(scene.send(request("/_matrix/a")).unwrap().status, 404, "somebody waits");
        assert_eq!(scene.send(background()).unwrap().status, 404, "it is well again");
        scene.asked();
    }
}

#[test]
fn an_answer_says_when_to_come_back() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1_500 }).to_string();
    scene.peer(move |_| says(429, &limited));
    assert_eq!(scene.send(request("/_matrix/a")).unwrap().retry_after_ms, Some(1_500));
    scene
        .peer(|_| Some(Ok(Page { status: 429, headers: vec![("retry-after", "7".to_owned())], body: b"no".to_vec() })));
    let answer = scene.send(request("/_matrix/a")).unwrap();
    assert_eq!((answer.retry_after_ms, answer.body), (Some(7_000), None));
}
